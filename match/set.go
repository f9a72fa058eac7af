package match

import "sonde/match/engine"

// MaxAnswer is how many bytes of an answer are read. Sessions stop reading at
// 64 KiB or before; what a caller has beyond that is not looked at, as if the
// answer ended there.
const MaxAnswer = engine.MaxSubject

// MaxSearchSteps is how many steps the rules of one search may take together:
// eight passes over the largest answer (8 × 65,536), less than five milliseconds.
// A hostile answer could otherwise keep hundreds of rules busy, each below its
// own limit. A search that reaches it stops; the rule that it stopped at is
// the last of Undecided.
const MaxSearchSteps = 8 * MaxAnswer

// A Set is the search order of one probe: its own list, those of its
// fallbacks, that of the NULL probe. It never changes.
type Set struct {
	lists []*List
}

// NewSet gives the Set that searches the lists one after the other.
func NewSet(lists ...*List) *Set {
	return &Set{lists: append([]*List(nil), lists...)}
}

// Len is the number of rules in all lists.
func (s *Set) Len() int {
	n := 0
	for _, l := range s.lists {
		n += l.Len()
	}
	return n
}

// A Scratch is the memory of searches: what one goroutine needs, kept from one
// search to the next. The zero value is ready. It grows to at most some
// megabytes, see the engine's limits.
type Scratch struct {
	machine  engine.Machine
	buf      []byte
	searches []search // one for each list of the Set
	steps    int
	turn     uint64 // counts the times that the searches began anew
	growing  Growing
}

// NewScratch gives a Scratch.
func NewScratch() *Scratch { return new(Scratch) }

// A Result says which rule explains an answer, and what it says.
type Result struct {
	// Rule is the first rule that matches, nil if none does.
	Rule *Rule
	// Identity is what Rule says about this answer. Service is as the rule
	// has it, so it can be "ssl/x".
	Identity Identity
	// Undecided are the rules before Rule (all, if it is nil) that reached a
	// limit: whether they match is not known. Normally there are none. With
	// any, neither Rule nor its absence is proven to be the first's.
	Undecided []*Rule
	// Steps is what the search took, see engine.MaxSteps.
	Steps int
}

// Match finds the first rule that matches the answer, a soft one included.
// It does not keep the answer. Apart from the strings of the identity, and
// Undecided, it allocates nothing once sc has grown.
func (s *Set) Match(sc *Scratch, answer []byte) Result {
	sc.begin(s)
	return s.match(sc, answer)
}

// A Trace is what a search finds that goes on behind the first hit.
type Trace struct {
	Hits       []Result // all rules that match, in order; Steps and Undecided are unset
	Undecided  []*Rule  // all rules that reached a limit
	Candidates int      // rules that the index could not rule out
	Tried      []Trial  // these, in order
	Rules      int      // rules in the Set
	Steps      int
	More       bool // there may be more hits than were asked for
}

// A Trial is what came of one candidate.
type Trial struct {
	Rule   *Rule
	Engine string        // how its pattern is searched, as (*List).Engine says
	Result engine.Result // NoMatch also where a literal or the length ruled it out
	Steps  int
}

// MatchAll finds all rules that match, in search order, up to limit. It is for
// diagnosis: Match finds the first of them in less time.
func (s *Set) MatchAll(sc *Scratch, answer []byte, limit int) Trace {
	answer = answer[:min(len(answer), MaxAnswer)]
	t := Trace{Rules: s.Len()}
	sc.begin(s)
	sc.steps = 0
	for i, l := range s.lists {
		l.all(sc, &sc.searches[i], answer, &t, limit)
		if t.More {
			break
		}
	}
	t.Steps = sc.steps
	return t
}
