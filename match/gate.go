package match

import (
	"bytes"
	"encoding/binary"

	"sonde/match/syntax"
)

// A gate is what every answer that a rule matches must fulfil, in a form that
// costs next to nothing to check. It may let answers through that do not
// match; it never stops one that does.
type gate struct {
	value, mask uint64 // of the first eight bytes, the first one lowest
	literal     []byte // is in the answer
	minLen      int    // of the answer
}

// headSize is how many leading bytes a gate compares at once.
const headSize = 8

// loadHead gives the first eight bytes as a gate has them. Missing ones are
// zero: minLen keeps a short answer from passing for them.
func loadHead(answer []byte) uint64 {
	if len(answer) >= headSize {
		return binary.LittleEndian.Uint64(answer)
	}
	var b [headSize]byte
	copy(b[:], answer)
	return binary.LittleEndian.Uint64(b[:])
}

func (g *gate) pass(head uint64, answer []byte) bool {
	return head&g.mask == g.value && len(answer) >= g.minLen &&
		(len(g.literal) == 0 || bytes.Contains(answer, g.literal))
}

func newGate(re *syntax.Regexp) gate {
	w := gateWalk{anchored: re.Root.Anchored(), known: true}
	w.node(re.Root)
	w.flush()
	g := gate{literal: w.best, minLen: re.MinLen}
	for i, s := range w.head {
		value, mask := byteMask(s)
		g.value |= uint64(value) << (8 * i)
		g.mask |= uint64(mask) << (8 * i)
	}
	return g
}

// byteMask gives the mask and value that hold for exactly the bytes of s, if
// s is one byte or one letter in both cases; else a mask that holds for all.
func byteMask(s syntax.ByteSet) (value, mask byte) {
	first := s.First()
	switch n := s.Len(); {
	case n == 1:
		return first, 0xff
	case n == 2 && s.Contains(first|0x20) && first&0x20 == 0:
		return first, 0xff &^ 0x20
	}
	return 0, 0
}

// A gateWalk goes through a tree in the order of the subject and collects what
// stands at fixed offsets, and the longest literal that cannot be left out.
type gateWalk struct {
	anchored bool
	known    bool             // everything so far had a fixed length
	offset   int              // where we are, while known
	head     []syntax.ByteSet // what must stand at offsets 0, 1, …
	run      []byte           // literal up to here
	runAt    int              // its offset, -1 if not fixed
	best     []byte
}

// place notes that one byte of s follows.
func (w *gateWalk) place(s syntax.ByteSet) {
	if w.known && w.anchored && len(w.head) < headSize {
		w.head = append(w.head, s)
	}
	if s.Len() == 1 {
		if len(w.run) == 0 {
			w.runAt = -1
			if w.known && w.anchored {
				w.runAt = w.offset
			}
		}
		w.run = append(w.run, s.First())
	} else {
		w.flush()
	}
	w.offset++
}

// flush ends a run of literal bytes. One that the head already holds in full
// says nothing new.
func (w *gateWalk) flush() {
	inHead := w.runAt >= 0 && w.runAt+len(w.run) <= headSize
	if len(w.run) > len(w.best) && !inHead {
		w.best = bytes.Clone(w.run)
	}
	w.run = w.run[:0]
}

// gap notes that something of unknown content and length follows.
func (w *gateWalk) gap() {
	w.flush()
	w.known = false
}

func (w *gateWalk) node(n *syntax.Node) {
	if set, ok := n.Single(); ok {
		w.place(set)
		return
	}
	switch n.Op {
	case syntax.OpLiteral:
		for _, c := range n.Lit {
			single := syntax.Node{Op: syntax.OpLiteral, Lit: []byte{c}, Fold: n.Fold}
			set, _ := single.Single()
			w.place(set)
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
		w.gap()
	}
	// What is left matches a place and does not interrupt a literal.
}

// maxGateCopies is how many repetitions a gate follows one by one: as many as
// its head has bytes, and some more for literals.
const maxGateCopies = 2 * headSize

func (w *gateWalk) repeat(n *syntax.Node) {
	copies := min(n.Min, maxGateCopies)
	for range copies {
		w.node(n.Subs[0])
	}
	if n.Max != copies {
		w.gap()
	}
}
