// Package sample makes subjects from patterns: what matches them, what nearly
// does, and what keeps an engine busy for long.
//
// A subject is made from the tree, look-around aside, so most of those that
// Maker.Make gives match; whether one does is for an engine to say.
package sample

import (
	"math/rand/v2"

	"sonde/match/syntax"
)

// A Maker makes subjects. It belongs to one goroutine.
type Maker struct {
	*rand.Rand
	// Fill is about how many bytes each unbounded repetition gets at most;
	// a few where it is 0.
	Fill int
	// Most is where a subject is cut.
	Most int

	groups map[int][]byte
	out    []byte
}

// Make gives a subject for the pattern.
func (m *Maker) Make(re *syntax.Regexp) []byte {
	m.groups, m.out = make(map[int][]byte), nil
	if m.Most == 0 {
		m.Most = 1 << 16
	}
	m.node(re.Root)
	return m.out
}

// common are the bytes that answers mostly consist of, for sets that hold
// nearly every byte.
const common = "aeinorst013 ./-:<>ABS\r\n\x00\xff"

func (m *Maker) byteOf(s *syntax.ByteSet) byte {
	for range 8 {
		if c := common[m.IntN(len(common))]; s.Contains(c) {
			return c
		}
	}
	n := m.IntN(max(s.Len(), 1))
	for c := range 256 {
		if s.Contains(byte(c)) {
			if n == 0 {
				return byte(c)
			}
			n--
		}
	}
	return 0
}

func (m *Maker) node(n *syntax.Node) {
	if len(m.out) >= m.Most {
		return
	}
	switch n.Op {
	case syntax.OpLiteral:
		for _, c := range n.Lit {
			if n.Fold && 'a' <= c && c <= 'z' && m.IntN(2) == 0 {
				c &^= 0x20
			}
			m.out = append(m.out, c)
		}
	case syntax.OpSet:
		m.out = append(m.out, m.byteOf(&n.Set))
	case syntax.OpConcat:
		for _, s := range n.Subs {
			m.node(s)
		}
	case syntax.OpAlternate:
		m.node(n.Subs[m.IntN(len(n.Subs))])
	case syntax.OpRepeat:
		m.repeat(n)
	case syntax.OpCapture:
		from := len(m.out)
		m.node(n.Subs[0])
		m.groups[n.Group] = m.out[from:len(m.out):len(m.out)]
	case syntax.OpAtomic:
		m.node(n.Subs[0])
	case syntax.OpBackref:
		m.out = append(m.out, m.groups[n.Group]...)
	}
}

func (m *Maker) repeat(n *syntax.Node) {
	count := n.Min
	switch {
	case n.Max == syntax.Infinite && m.Fill > 0:
		end := min(len(m.out)+1+m.IntN(m.Fill), m.Most)
		for range n.Min {
			m.node(n.Subs[0])
		}
		for before := -1; len(m.out) < end && len(m.out) > before; {
			before = len(m.out)
			m.node(n.Subs[0])
		}
		return
	case n.Max == syntax.Infinite:
		count += m.IntN(6)
	default:
		count += m.IntN(min(n.Max-n.Min, 40) + 1)
	}
	for range count {
		m.node(n.Subs[0])
	}
}

// Spoil gives a copy of b that differs in a place or two: a byte changed, left
// out or put in, a part cut off or doubled.
func (m *Maker) Spoil(b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + m.IntN(2) {
		if len(b) == 0 {
			return append(b, common[m.IntN(len(common))])
		}
		i := m.IntN(len(b))
		switch m.IntN(6) {
		case 0:
			b[i] = byte(m.IntN(256))
		case 1:
			b[i] = common[m.IntN(len(common))]
		case 2:
			b = append(b[:i], b[i+1:]...)
		case 3:
			b = append(b[:i], append([]byte{common[m.IntN(len(common))]}, b[i:]...)...)
		case 4:
			b = b[:i]
		case 5:
			j := i + m.IntN(len(b)-i+1)
			b = append(b[:j:j], b[i:]...)
		}
	}
	return b
}
