package index

import "sonde/match/syntax"

// Facts are what every subject that a pattern matches fulfils. They may hold
// for others too; that is for an engine to find out.
type Facts struct {
	// Head says which bytes can stand at the offsets 0, 1, …; it is empty for
	// a pattern that can match elsewhere than at the start.
	Head []syntax.ByteSet
	// Runs are literals that a match contains, in this order and without
	// overlap.
	Runs []Run
	// MinLen is the length of the shortest subject, MaxLen of the longest, the
	// line feed that '$' leaves out included; -1 if there is none.
	MinLen, MaxLen int
	// Tail reports that the last of Runs ends where the subject does, or
	// before a final line feed.
	Tail bool
}

// A Run is a sequence of bytes that a match contains.
type Run struct {
	Text   []byte // lower case, if Fold
	Fold   bool   // ASCII letters stand in either case
	Offset int    // from the start of the subject, or -1 where that varies
}

// HeadSize is how many leading bytes are looked at one by one. Two words of
// eight: the sixteen bytes of "HTTP/1.1 200 OK\r" tell most answers apart.
const HeadSize = 16

// maxCopies is how many repetitions of a counted part are followed one by one.
const maxCopies = 2 * HeadSize

// maxBranches is how many alternatives of a whole pattern are told apart.
const maxBranches = 32

// FactsOf collects the facts of a pattern from its tree. What is an alternative
// as a whole gives facts for each branch: a subject fulfils those of at least
// one.
func FactsOf(re *syntax.Regexp) []Facts {
	root := re.Root
	for root.Op == syntax.OpCapture || root.Op == syntax.OpConcat && len(root.Subs) == 1 {
		root = root.Subs[0]
	}
	if root.Op != syntax.OpAlternate || len(root.Subs) > maxBranches {
		return []Facts{factsOf(root, re.MinLen)}
	}
	facts := make([]Facts, len(root.Subs))
	for i, branch := range root.Subs {
		facts[i] = factsOf(branch, re.MinLen)
	}
	return facts
}

func factsOf(root *syntax.Node, minLen int) Facts {
	w := walker{fixed: root.Anchored(), fuel: maxWalk}
	w.facts.MinLen, w.facts.MaxLen = minLen, -1
	if w.fixed {
		w.facts.Head = headOf(root)
		if endsAtEnd(root) {
			w.facts.MaxLen = maxLen(root, 1)
		}
	}
	w.node(root)
	w.flush()
	return w.facts
}

// endsAtEnd reports whether n can match only up to the end of the subject, a
// final line feed aside.
func endsAtEnd(n *syntax.Node) bool {
	switch n.Op {
	case syntax.OpEnd, syntax.OpVeryEnd:
		return true
	case syntax.OpConcat:
		return len(n.Subs) > 0 && endsAtEnd(n.Subs[len(n.Subs)-1])
	case syntax.OpCapture, syntax.OpAtomic:
		return endsAtEnd(n.Subs[0])
	}
	return false
}

// maxCounted is the longest length that counts as bounded.
const maxCounted = 1 << 16

// maxLen adds the length of the longest string that n matches to sum; -1
// stands for more than maxCounted.
func maxLen(n *syntax.Node, sum int) int {
	switch n.Op {
	case syntax.OpLiteral:
		sum += len(n.Lit)
	case syntax.OpSet:
		sum++
	case syntax.OpConcat:
		for i := 0; i < len(n.Subs) && sum >= 0; i++ {
			sum = maxLen(n.Subs[i], sum)
		}
	case syntax.OpAlternate:
		most := sum
		for _, s := range n.Subs {
			l := maxLen(s, sum)
			if l < 0 {
				return -1
			}
			most = max(most, l)
		}
		sum = most
	case syntax.OpRepeat:
		one := maxLen(n.Subs[0], 0)
		if n.Max == syntax.Infinite || one < 0 {
			return -1
		}
		sum += one * n.Max
	case syntax.OpCapture, syntax.OpAtomic:
		return maxLen(n.Subs[0], sum)
	case syntax.OpBackref:
		return -1
	}
	if sum > maxCounted {
		return -1
	}
	return sum
}

func literalSet(c byte, fold bool) (s syntax.ByteSet) {
	s.Add(c)
	if fold {
		s = s.Folded()
	}
	return s
}

// A walker goes through a tree in the order of the subject and collects runs.
type walker struct {
	facts  Facts
	fixed  bool // everything so far has one length, counted from the start
	offset int  // of what comes next, while fixed
	run    Run  // what has come together so far
	fuel   int  // nodes that may still be visited, counted parts many times
}

// maxWalk is how many nodes a walk visits: counted parts can nest. What lies
// behind is taken as unknown.
const maxWalk = 1 << 12

// maxRun is where a run is cut: longer ones tell no more.
const maxRun = 64

// place notes that one byte of s follows.
func (w *walker) place(s syntax.ByteSet) {
	w.facts.Tail = false
	first, n := s.First(), s.Len()
	fold := n == 2 && s == literalSet(first|0x20, true)
	if n != 1 && !fold {
		w.flush()
		w.offset++
		return
	}
	if len(w.run.Text) >= maxRun {
		w.flush()
	}
	if len(w.run.Text) == 0 {
		w.run.Offset = -1
		if w.fixed {
			w.run.Offset = w.offset
		}
	}
	if fold {
		w.run.Fold = true
		first |= 0x20
	}
	w.run.Text = append(w.run.Text, first)
	w.offset++
}

// flush ends a run.
func (w *walker) flush() {
	if len(w.run.Text) == 0 {
		return
	}
	if w.run.Fold {
		for i, c := range w.run.Text {
			w.run.Text[i] = lower(c)
		}
	}
	w.facts.Runs = append(w.facts.Runs, w.run)
	w.run = Run{}
}

// gap notes that something of unknown content follows, length bytes long, or
// of varying length if that is negative.
func (w *walker) gap(length int) {
	w.flush()
	w.facts.Tail = false
	if length < 0 {
		w.fixed = false
	}
	w.offset += length
}

func (w *walker) node(n *syntax.Node) {
	if w.fuel--; w.fuel < 0 {
		w.gap(-1)
		return
	}
	if set, ok := n.Single(); ok {
		w.place(set)
		return
	}
	switch n.Op {
	case syntax.OpLiteral:
		for _, c := range n.Lit {
			w.place(literalSet(c, n.Fold))
		}
	case syntax.OpConcat:
		for _, s := range n.Subs {
			w.node(s)
		}
	case syntax.OpCapture, syntax.OpAtomic:
		w.node(n.Subs[0])
	case syntax.OpRepeat:
		w.repeat(n)
	case syntax.OpAlternate, syntax.OpBackref:
		w.gap(fixedLen(n))
	case syntax.OpEnd, syntax.OpVeryEnd:
		w.facts.Tail = len(w.run.Text) > 0
	}
	// What is left matches a place and does not interrupt a literal.
}

// fixedLen gives the length of everything that n matches, -1 if that varies.
func fixedLen(n *syntax.Node) int {
	if l, ok := n.FixedLen(); ok {
		return l
	}
	return -1
}

func (w *walker) repeat(n *syntax.Node) {
	copies := min(n.Min, maxCopies)
	for range copies {
		w.node(n.Subs[0])
	}
	switch sub := fixedLen(n.Subs[0]); {
	case n.Max == copies:
	case n.Max == n.Min && sub >= 0:
		w.gap(sub * (n.Min - copies))
	default:
		w.gap(-1)
	}
}
