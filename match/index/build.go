package index

import (
	"cmp"
	"math/bits"
	"slices"

	"sonde/match/syntax"
)

// A Builder collects the facts of one pattern after the other. The zero value
// is ready.
type Builder struct {
	facts []Facts
}

// Add takes over the facts of the next line.
func (b *Builder) Add(f Facts) { b.facts = append(b.facts, f) }

// narrowHead is how many first bytes a line may have to be kept only in their
// groups. A line with more is in every group.
const narrowHead = 8

// Build gives the index of all lines that were added.
func (b *Builder) Build() *Index {
	x := &Index{lines: len(b.facts), places: make(map[string]uint32)}
	x.heads = make([]headMask, 0, len(b.facts))
	x.checks = make([]check, 0, len(b.facts))
	c := new(census)
	for i := range b.facts {
		c.count(&b.facts[i])
	}
	var groups [256]*groupBuilder
	wide := newGroupBuilder()
	for i := range b.facts {
		f := &b.facts[i]
		x.heads = append(x.heads, newHeadMask(f.Head))
		x.addCheck(f)
		k := c.choose(f)
		if len(f.Head) == 0 || f.Head[0].Len() > narrowHead {
			wide.add(int32(i), k)
			continue
		}
		eachByte(&f.Head[0], func(first byte) {
			if groups[first] == nil {
				groups[first] = newGroupBuilder()
			}
			groups[first].add(int32(i), k)
		})
	}
	x.places = nil
	x.runs, x.text = slices.Clip(x.runs), slices.Clip(x.text)
	x.group(wide, &groups)
	return x
}

// group makes the groups: number 0 for the lines that any first byte can have,
// and one for each byte that has lines of its own.
func (x *Index) group(wide *groupBuilder, own *[256]*groupBuilder) {
	common := group{always: wide.always, fixed: newFixedTable(wide.fixed), float: newFilter(wide.float)}
	x.groups = append(x.groups, common)
	for first, g := range own {
		if g == nil {
			continue
		}
		made := common
		if len(g.always) > 0 {
			made.always = sortedUnique(append(g.always, wide.always...))
		}
		if len(g.fixed) > 0 {
			for k, lines := range wide.fixed {
				g.fixed[k] = append(g.fixed[k], lines...)
			}
			made.fixed = newFixedTable(g.fixed)
		}
		if len(g.float) > 0 {
			for k, lines := range wide.float {
				g.float[k] = append(g.float[k], lines...)
			}
			made.float = newFilter(g.float)
		}
		x.byHead[first] = uint16(len(x.groups))
		x.groups = append(x.groups, made)
	}
}

func eachByte(s *syntax.ByteSet, f func(byte)) {
	for c := range 256 {
		if s.Contains(byte(c)) {
			f(byte(c))
		}
	}
}

// A groupBuilder collects the lines of one group by their keys.
type groupBuilder struct {
	always []int32
	fixed  map[fixedKey][]int32
	float  map[uint64][]int32
}

type fixedKey struct {
	offset int
	text   uint64
}

func newGroupBuilder() *groupBuilder {
	return &groupBuilder{fixed: make(map[fixedKey][]int32), float: make(map[uint64][]int32)}
}

func (g *groupBuilder) add(line int32, k key) {
	switch k.kind {
	case keyNone:
		g.always = append(g.always, line)
	case keyFixed:
		at := fixedKey{k.offset, k.text}
		g.fixed[at] = append(g.fixed[at], line)
	case keyFloat:
		g.float[k.text] = append(g.float[k.text], line)
	}
}

func newFixedTable(keys map[fixedKey][]int32) (t fixedTable) {
	if len(keys) == 0 {
		return t
	}
	sorted := make([]fixedKey, 0, len(keys))
	for k := range keys {
		sorted = append(sorted, k)
	}
	slices.SortFunc(sorted, func(a, b fixedKey) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.text, b.text))
	})
	size := bits.Len(uint(2 * len(keys)))
	t.shift = uint8(32 - size)
	t.slots = make([]fixedSlot, 1<<size)
	for _, k := range sorted {
		if n := len(t.offsets); n == 0 || t.offsets[n-1] != uint8(k.offset) {
			t.offsets = append(t.offsets, uint8(k.offset))
		}
		from := uint32(len(t.lines))
		t.lines = append(t.lines, sortedUnique(keys[k])...)
		at := hashFixed(k.offset, k.text) >> t.shift
		for t.slots[at].to != 0 {
			at = (at + 1) & uint32(len(t.slots)-1)
		}
		t.slots[at] = fixedSlot{k.text, uint32(k.offset), from, uint32(len(t.lines))}
	}
	return t
}
