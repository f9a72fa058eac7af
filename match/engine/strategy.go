package engine

// A Strategy says how a program is searched. All of them find the same match
// with the same groups; they differ in what they cost.
type Strategy uint8

// The strategies.
const (
	// OnePass is for an anchored program in which the next byte always says
	// which way to go. It runs once over the subject and keeps nothing.
	OnePass Strategy = iota
	// Automaton is for a regular pattern: if backtracking does not end soon,
	// an automaton that is in all states at once says whether there is a
	// match at all, and only if there is, backtracking finds its groups.
	Automaton
	// Backtrack is for the rest: look-around, atomic groups, references, and
	// what has too many places for an automaton. An automaton that accepts
	// more than the pattern may still prove that there is no match.
	Backtrack
)

// String gives the name that is printed: onepass, automaton or backtrack.
func (s Strategy) String() string {
	switch s {
	case OnePass:
		return "onepass"
	case Automaton:
		return "automaton"
	}
	return "backtrack"
}

// strategy chooses; it is the only place that does.
func strategy(p *Program) Strategy {
	switch {
	case p.anchored && isOnePass(p):
		return OnePass
	case p.automaton && isExact(p):
		return Automaton
	}
	return Backtrack
}

// Strategy is how the program is searched.
func (p *Program) Strategy() Strategy { return p.strategy }

// Search finds the program's first match in b, and says how many steps that
// took. Of a subject longer than MaxSubject only that much is read.
func (m *Machine) Search(p *Program, b []byte) (Result, int) {
	return m.SearchWithin(p, b, MaxSteps)
}

// SearchWithin is Search with a limit below MaxSteps.
func (m *Machine) SearchWithin(p *Program, b []byte, limit int) (Result, int) {
	limit = min(limit, MaxSteps)
	b = b[:min(len(b), MaxSubject)]
	m.prepare(p, len(b))
	if p.strategy == OnePass {
		return m.onePass(p, b), m.steps
	}
	if p.backrefs {
		// What a place leads to depends on the groups too: no visited bits.
		return m.search(p, b, limit), m.steps
	}
	// Most searches end soon. What bounds the others costs memory and time to
	// set up, so it comes in only where plain backtracking goes on for long.
	if r := m.search(p, b, min(cheapSteps(len(b)), limit)); r != Undecided {
		return r, m.steps
	}
	if p.automaton && !m.accepts(p, b, limit) {
		return NoMatch, m.steps
	}
	if m.steps < limit {
		m.useVisited(p)
	}
	return m.search(p, b, limit), m.steps
}

// Glance is Search that takes no more than a thousand steps and says Undecided
// if these are not enough.
func (m *Machine) Glance(p *Program, b []byte) (Result, int) {
	b = b[:min(len(b), MaxSubject)]
	m.prepare(p, len(b))
	return m.search(p, b, glanceSteps), m.steps
}

// glanceSteps are those of Glance: enough to pass the head of a web page, tag by
// tag, and a quarter of what the search for a literal in 64 KiB takes.
const glanceSteps = 1024

// cheapSteps is how far plain backtracking goes: what the automaton, or
// clearing the visited bits, costs too.
func cheapSteps(n int) int { return 2048 + n }
