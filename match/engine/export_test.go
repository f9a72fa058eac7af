package engine

// SearchVisited is Search with visited bits from the first step on.
func (m *Machine) SearchVisited(p *Program, b []byte) (Result, int) {
	m.prepare(p, len(b))
	if !p.backrefs {
		m.useVisited(p)
	}
	return m.search(p, b, MaxSteps), m.steps
}

// HasEmptyLoops reports whether a loop's body can match the empty string.
func (p *Program) HasEmptyLoops() bool { return len(p.outer) > 0 }

// Accepts asks the automaton alone; exact tells whether yes is a proof too.
func (m *Machine) Accepts(p *Program, b []byte) (accepted, exact, ok bool) {
	if !p.automaton {
		return false, false, false
	}
	m.steps = 0
	return m.accepts(p, b, MaxSteps), isExact(p), true
}

// SearchBacktrack is Search by backtracking without visited bits.
func (m *Machine) SearchBacktrack(p *Program, b []byte) (Result, int) {
	m.prepare(p, len(b))
	return m.search(p, b, MaxSteps), m.steps
}
