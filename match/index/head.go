package index

import (
	"math/bits"

	"sonde/match/syntax"
)

// This file finds the bytes that can stand at the first offsets of a subject.
//
// It goes through the tree with all offsets, as bits, at which a part can begin,
// and gets those at which it can end. A byte of the part can stand at each offset
// where it can begin. Up to the first offset at which the whole pattern can end,
// every byte of a match was consumed by some part that began there, so what has
// come together for that offset is all that can stand at it.

// A header is one such walk.
type header struct {
	sets [HeadSize]syntax.ByteSet
	fuel int
}

// offsets are places before HeadSize, one bit each. What is behind is left out.
type offsets uint32

const allOffsets offsets = 1<<HeadSize - 1

// maxHeadWalk is how many nodes a walk visits. What lies behind is unknown.
const maxHeadWalk = 1 << 10

// headOf gives the sets for the offsets from 0 on, as far as they are known.
func headOf(root *syntax.Node) []syntax.ByteSet {
	h := header{fuel: maxHeadWalk}
	n := HeadSize
	if ends := h.node(root, 1); ends != 0 {
		n = bits.TrailingZeros32(uint32(ends))
	}
	for n > 0 && h.sets[n-1].Len() == 256 {
		n--
	}
	return append([]syntax.ByteSet(nil), h.sets[:n]...)
}

// node gives where n can end if it can begin at starts.
func (h *header) node(n *syntax.Node, starts offsets) (ends offsets) {
	if starts == 0 {
		return 0
	}
	if h.fuel--; h.fuel < 0 {
		return h.unknown(starts)
	}
	switch n.Op {
	case syntax.OpLiteral:
		for i := 0; i < len(n.Lit) && starts != 0; i++ {
			starts = h.consume(literalSet(n.Lit[i], n.Fold), starts)
		}
	case syntax.OpSet:
		return h.consume(n.Set, starts)
	case syntax.OpConcat:
		for _, s := range n.Subs {
			starts = h.node(s, starts)
		}
	case syntax.OpAlternate:
		for _, s := range n.Subs {
			ends |= h.node(s, starts)
		}
		return ends
	case syntax.OpCapture, syntax.OpAtomic:
		return h.node(n.Subs[0], starts)
	case syntax.OpRepeat:
		return h.repeat(n, starts)
	case syntax.OpBackref:
		return h.unknown(starts)
	}
	return starts // look-around and assertions match a place
}

func (h *header) consume(s syntax.ByteSet, starts offsets) (ends offsets) {
	for rest := starts; rest != 0; rest &= rest - 1 {
		h.sets[bits.TrailingZeros32(uint32(rest))].AddSet(s)
	}
	return starts << 1 & allOffsets
}

// unknown is for a part that can match anything.
func (h *header) unknown(starts offsets) (ends offsets) {
	ends = allOffsets &^ (starts&-starts - 1)
	none := syntax.ByteSet{}
	h.consume(none.Not(), ends)
	return ends
}

func (h *header) repeat(n *syntax.Node, starts offsets) (ends offsets) {
	for range n.Min {
		next := h.node(n.Subs[0], starts)
		if next == starts {
			break // and so it would be for ever
		}
		starts = next
	}
	ends = starts
	for i := n.Min; starts != 0 && (n.Max == syntax.Infinite || i < n.Max); i++ {
		starts = h.node(n.Subs[0], starts) &^ ends
		ends |= starts
	}
	return ends
}
