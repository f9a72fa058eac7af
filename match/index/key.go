package index

import (
	"encoding/binary"
	"math/bits"
)

// This file chooses the key of a line: the piece of it that a subject must
// contain to make the line a candidate.
//
// A key at a fixed offset costs one comparison, so it is taken where few lines
// share it. Otherwise a floating window is taken, the one whose grams are the
// rarest: in the patterns, which stand for the answers, since what is frequent
// in many patterns ("Content-Type", "</title>") is so in answers.

type keyKind uint8

const (
	keyNone  keyKind = iota // the line is a candidate whenever its head fits
	keyFixed                // text stands at offset
	keyFloat                // text stands somewhere
)

// A key is what makes a line a candidate. Its text is folded.
type key struct {
	kind   keyKind
	offset int
	text   uint64
}

// fewLines is how many lines may share a fixed key before a floating one is
// preferred: comparing the heads of that many costs less than a scan.
const fewLines = 12

// nextToNone is how many lines may share a fixed key that is taken for its
// offset though there is a rarer one.
const nextToNone = 6

// maxFixedOffset bounds the offsets of fixed keys, and so how many different
// ones a search compares; they are bits of 64.
const maxFixedOffset = 40

// A census counts grams and fixed windows over all lines. Counts are kept by
// hash; where two fall together the choice is a little worse, never wrong.
type census struct {
	grams, fixed []uint16
	shift        uint8 // from a hash to a place in either
}

// countsPerLine is how many counters there are for each line: about as many as
// a line has grams.
const countsPerLine = 16

func newCensus(lines int) *census {
	size := min(max(bits.Len(uint(lines*countsPerLine)), 6), 16)
	return &census{
		grams: make([]uint16, 1<<size), fixed: make([]uint16, 1<<size), shift: uint8(32 - size),
	}
}

func (c *census) gram(g uint32) *uint16 { return &c.grams[hashGram(g)>>c.shift] }

func (c *census) window(offset int, text uint64) *uint16 {
	return &c.fixed[hashFixed(offset, text)>>c.shift]
}

// hashFixed mixes a window with its offset.
func hashFixed(offset int, text uint64) uint32 {
	h := (text + uint64(offset)*0x9E3779B97F4A7C15) * 0xD6E8FEB86659FD93
	return uint32(h >> 32)
}

// count adds the pieces of one line.
func (c *census) count(f *Facts) {
	for _, r := range f.Runs {
		for i := 0; i+gramSize <= len(r.Text); i++ {
			add(c.gram(binary.LittleEndian.Uint32(r.Text[i:]) | foldGram))
		}
		if !fixedRun(f, &r) {
			continue
		}
		for i := 0; i+windowSize <= len(r.Text) && r.Offset+i <= maxFixedOffset; i++ {
			add(c.window(r.Offset+i, foldText(r.Text[i:])))
		}
	}
}

func add(n *uint16) {
	if *n < 1<<16-1 {
		*n++
	}
}

// fixedRun reports whether the place of a run can serve for a fixed key.
func fixedRun(f *Facts, r *Run) bool { return r.Offset >= 0 && len(f.Head) > 0 }

// chooseKeys gives the keys of all branches of all lines, in order.
//
// Fixed keys are chosen so that few different offsets are in use, since a
// search looks at each: of the lines that may begin with the same byte, first
// those that have a good window at the offset where the most have one, and so
// on with the rest.
func chooseKeys(lines [][]Facts) []key {
	c := newCensus(len(lines))
	for _, line := range lines {
		for i := range line {
			c.count(&line[i])
		}
	}
	var keys []key
	byFirst := make(map[int][]fixedChoice)
	for _, line := range lines {
		for i := range line {
			f := &line[i]
			if good := c.goodOffsets(f); good != 0 {
				first := firstOf(f)
				byFirst[first] = append(byFirst[first], fixedChoice{len(keys), f, good})
				keys = append(keys, key{})
				continue
			}
			keys = append(keys, c.choose(f))
		}
	}
	for _, choices := range byFirst {
		cover(choices, keys)
	}
	return keys
}

// A fixedChoice is a line with offsets where a window of it is good: bits.
type fixedChoice struct {
	number int // in the list of keys
	facts  *Facts
	good   uint64
}

// firstOf gives the byte that a line begins with, -1 where that varies.
func firstOf(f *Facts) int {
	if f.Head[0].Len() > 1 {
		return -1
	}
	return int(f.Head[0].First())
}

// cover chooses an offset for each line, few of them in all.
func cover(choices []fixedChoice, keys []key) {
	for len(choices) > 0 {
		var counts [maxFixedOffset + 1]int
		best := 0
		for i := range choices {
			for good := choices[i].good; good != 0; good &= good - 1 {
				counts[bits.TrailingZeros64(good)]++
			}
		}
		for o, n := range counts {
			if n > counts[best] {
				best = o
			}
		}
		rest := choices[:0]
		for _, c := range choices {
			if c.good>>best&1 == 0 {
				rest = append(rest, c)
				continue
			}
			keys[c.number] = key{keyFixed, best, c.facts.windowAt(best)}
		}
		choices = rest
	}
}

// windowAt gives the window of a run at an offset where there is one.
func (f *Facts) windowAt(offset int) uint64 {
	for _, r := range f.Runs {
		if i := offset - r.Offset; r.Offset >= 0 && i >= 0 && i+windowSize <= len(r.Text) {
			return foldText(r.Text[i:])
		}
	}
	return 0
}

// goodOffsets gives the offsets at which there is a window that few lines
// share, as bits: as few as any window of the line, or next to none.
func (c *census) goodOffsets(f *Facts) (good uint64) {
	var counts [maxFixedOffset + 1]uint16
	least := uint16(fewLines + 1)
	for _, r := range f.Runs {
		if !fixedRun(f, &r) {
			continue
		}
		for i := 0; i+windowSize <= len(r.Text) && r.Offset+i <= maxFixedOffset; i++ {
			n := *c.window(r.Offset+i, foldText(r.Text[i:]))
			counts[r.Offset+i] = n
			least = min(least, n)
		}
	}
	if least > fewLines {
		return 0
	}
	for o, n := range counts {
		if n > 0 && n <= max(least, nextToNone) {
			good |= 1 << o
		}
	}
	return good
}

// choose gives the key of a line without a good fixed window.
func (c *census) choose(f *Facts) key {
	if k := c.chooseFloat(f); k.kind != keyNone {
		return k
	}
	return c.chooseFixed(f)
}

// chooseFixed takes the window that the fewest lines share.
func (c *census) chooseFixed(f *Facts) (best key) {
	least := 1 << 30
	for _, r := range f.Runs {
		if !fixedRun(f, &r) {
			continue
		}
		for i := 0; i+windowSize <= len(r.Text) && r.Offset+i <= maxFixedOffset; i++ {
			text := foldText(r.Text[i:])
			if n := int(*c.window(r.Offset+i, text)); n < least {
				best, least = key{keyFixed, r.Offset + i, text}, n
			}
		}
	}
	return best
}

// chooseFloat takes the window whose most frequent gram is the rarest, and of
// several the one with the least sum. One with a gram of one repeated byte is
// not taken at all: answers hold long stretches of zeros, blanks or dashes,
// whatever the patterns say.
func (c *census) chooseFloat(f *Facts) (best key) {
	most, sum := uniformWeight, 1<<30
	for _, r := range f.Runs {
		for i := 0; i+windowSize <= len(r.Text); i++ {
			m, s := c.weigh(r.Text[i : i+windowSize])
			if m < most || m == most && s < sum {
				best, most, sum = key{kind: keyFloat, text: foldText(r.Text[i:])}, m, s
			}
		}
	}
	return best
}

// uniformWeight is above the count of any gram.
const uniformWeight = 1 << 16

func (c *census) weigh(text []byte) (most, sum int) {
	for i := range stride {
		g := binary.LittleEndian.Uint32(text[i:]) | foldGram
		n := int(*c.gram(g))
		if g == g&0xff*0x01010101 {
			n += uniformWeight
		}
		most, sum = max(most, n), sum+n
	}
	return most, sum
}
