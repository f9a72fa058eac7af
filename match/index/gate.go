package index

import (
	"encoding/binary"
	"slices"

	"sonde/match/syntax"
)

// A gate is what the first HeadSize bytes of a subject and its length must be.
// Byte i of a subject that matches has the bits value[i] under mask[i]. A set of
// bytes becomes the bits that all its members share, so digits and either case
// of a letter are told from most other bytes, if not from all.
type gate struct {
	value, mask  [HeadSize / 8]uint64
	minLen, span uint32 // the length is at most span more than minLen
}

// unlimited is the span of a line without a longest subject: more than any
// length, and less than a shorter length gives when minLen is taken from it.
const unlimited = 1 << 31

// A lead is what gates look at, in the form that is compared. Missing bytes
// are zero; the minimal length keeps a short subject from passing for them.
type lead struct {
	first  [HeadSize / 8]uint64
	length uint32
}

func leadOf(b []byte) (l lead) {
	l.length = uint32(len(b))
	if len(b) >= HeadSize {
		l.first = [...]uint64{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		return l
	}
	var first [HeadSize]byte
	copy(first[:], b)
	l.first = [...]uint64{binary.LittleEndian.Uint64(first[:]), binary.LittleEndian.Uint64(first[8:])}
	return l
}

func (g *gate) pass(l *lead) bool {
	return (l.first[0]^g.value[0])&g.mask[0]|(l.first[1]^g.value[1])&g.mask[1] == 0 &&
		l.length-g.minLen <= g.span
}

// gateOf gives the gate for a line that is one of these branches.
func gateOf(branches []Facts) (g gate) {
	head := slices.Clone(branches[0].Head)
	least, most := branches[0].MinLen, branches[0].MaxLen
	for i := range branches[1:] {
		b := &branches[i+1]
		head = head[:min(len(head), len(b.Head))]
		for j := range head {
			head[j].AddSet(b.Head[j])
		}
		least = min(least, b.MinLen)
		if most >= 0 && (b.MaxLen < 0 || b.MaxLen > most) {
			most = b.MaxLen
		}
	}
	for i := range head {
		value, mask := sharedBits(&head[i])
		g.value[i/8] |= uint64(value) << (8 * (i % 8))
		g.mask[i/8] |= uint64(mask) << (8 * (i % 8))
	}
	g.minLen, g.span = uint32(least), unlimited
	if most >= 0 {
		g.span = uint32(most - least)
	}
	return g
}

// sharedBits gives the bits that all bytes of a set have in common.
func sharedBits(s *syntax.ByteSet) (value, mask byte) {
	low := s[0] | s[1] | s[2] | s[3] // the set without the upper two bits
	for i, ones := range lowOnes {
		value, mask = shared(value, mask, i, low&ones != 0, low&^ones != 0)
	}
	value, mask = shared(value, mask, 6, s[1]|s[3] != 0, s[0]|s[2] != 0)
	return shared(value, mask, 7, s[2]|s[3] != 0, s[0]|s[1] != 0)
}

// lowOnes are the numbers below 64 that have bit 0, 1, … set.
var lowOnes = [6]uint64{
	0xAAAAAAAAAAAAAAAA, 0xCCCCCCCCCCCCCCCC, 0xF0F0F0F0F0F0F0F0,
	0xFF00FF00FF00FF00, 0xFFFF0000FFFF0000, 0xFFFFFFFF00000000,
}

// shared adds bit i, which is set in some bytes and clear in some.
func shared(value, mask byte, i int, set, clear bool) (byte, byte) {
	if set != clear {
		mask |= 1 << i
		if set {
			value |= 1 << i
		}
	}
	return value, mask
}
