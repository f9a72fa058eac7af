package syntax

// Op says what a Node is.
type Op uint8

// The kinds of nodes.
const (
	OpEmpty           Op = iota // matches the empty string
	OpLiteral                   // Lit, in either case if Fold
	OpSet                       // one byte of Set
	OpConcat                    // Subs, one after the other
	OpAlternate                 // one of Subs, the first that fits
	OpRepeat                    // Subs[0], Min to Max times, as Greed says
	OpCapture                   // Subs[0], remembered as group Group
	OpAtomic                    // Subs[0], never tried a second way
	OpLook                      // Subs[0] stands (or not, Negate) ahead or Behind
	OpBackref                   // what group Group matched, in either case if Fold
	OpBegin                     // ^ \A \G
	OpEnd                       // $ \Z: the end, or before one final LF
	OpVeryEnd                   // \z
	OpWordBoundary              // \b
	OpNotWordBoundary           // \B
)

// Greed says which number of repetitions is tried first.
type Greed uint8

// The kinds of quantifiers.
const (
	Greedy     Greed = iota // the most first
	Lazy                    // the fewest first
	Possessive              // only the most
)

// Infinite is the Max of a repetition without upper bound.
const Infinite = -1

// A Node is one part of a pattern. Which fields count depends on Op.
type Node struct {
	Op     Op
	Fold   bool // OpLiteral (Lit is lower case then), OpBackref
	Greed  Greed
	Behind bool
	Negate bool
	Pos    int // offset in the pattern
	Min    int
	Max    int // or Infinite
	Group  int // from 1
	Lit    []byte
	Set    ByteSet
	Subs   []*Node
}

// lengthCap is where counting lengths stops: longer than any subject, and
// small enough that sums and products of two do not overflow.
const lengthCap = 1 << 24

// minLen is the length of the shortest string that n can match, look-around
// aside. groups collects those of the capture groups for references to them.
func minLen(n *Node, groups map[int]int) int {
	switch n.Op {
	case OpLiteral:
		return len(n.Lit)
	case OpSet:
		return 1
	case OpConcat:
		sum := 0
		for _, s := range n.Subs {
			sum = min(sum+minLen(s, groups), lengthCap)
		}
		return sum
	case OpAlternate:
		least := lengthCap
		for _, s := range n.Subs {
			least = min(least, minLen(s, groups))
		}
		return least
	case OpRepeat:
		return min(n.Min*minLen(n.Subs[0], groups), lengthCap)
	case OpAtomic:
		return minLen(n.Subs[0], groups)
	case OpCapture:
		groups[n.Group] = minLen(n.Subs[0], groups)
		return groups[n.Group]
	case OpLook:
		minLen(n.Subs[0], groups)
		return 0
	case OpBackref:
		// A group that is still open, or comes later, counts as 0.
		return groups[n.Group]
	default:
		return 0
	}
}

// FixedLen gives the length of everything that n can match, if that is one
// number. It is what a look-behind needs.
func (n *Node) FixedLen() (length int, ok bool) {
	switch n.Op {
	case OpLiteral:
		return len(n.Lit), true
	case OpSet:
		return 1, true
	case OpConcat:
		for _, s := range n.Subs {
			l, ok := s.FixedLen()
			if !ok || length+l > lengthCap {
				return 0, false
			}
			length += l
		}
		return length, true
	case OpAlternate:
		length, ok = n.Subs[0].FixedLen()
		for _, s := range n.Subs[1:] {
			l, fixed := s.FixedLen()
			ok = ok && fixed && l == length
		}
		return length, ok
	case OpRepeat:
		l, ok := n.Subs[0].FixedLen()
		return l * n.Min, ok && n.Min == n.Max && l*n.Min <= lengthCap
	case OpAtomic, OpCapture:
		return n.Subs[0].FixedLen()
	case OpBackref:
		return 0, false
	default:
		return 0, true
	}
}

// Single gives the set of bytes of a node that matches exactly one byte.
func (n *Node) Single() (set ByteSet, ok bool) {
	switch {
	case n.Op == OpSet:
		return n.Set, true
	case n.Op == OpLiteral && len(n.Lit) == 1:
		set.Add(n.Lit[0])
		if n.Fold {
			set = set.Folded()
		}
		return set, true
	case n.Op == OpConcat && len(n.Subs) == 1:
		return n.Subs[0].Single()
	}
	return set, false
}

// Anchored reports whether n can match at the start of the subject only.
func (n *Node) Anchored() bool {
	switch n.Op {
	case OpBegin:
		return true
	case OpConcat:
		for _, s := range n.Subs {
			if s.Anchored() {
				return true
			}
			if l, ok := s.FixedLen(); !ok || l != 0 {
				return false
			}
		}
		return false
	case OpAlternate:
		for _, s := range n.Subs {
			if !s.Anchored() {
				return false
			}
		}
		return true
	case OpCapture, OpAtomic:
		return n.Subs[0].Anchored()
	case OpRepeat:
		return n.Min > 0 && n.Subs[0].Anchored()
	default:
		return false
	}
}
