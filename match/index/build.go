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
	lines [][]Facts
}

// Add takes over the facts of the next line, as FactsOf gives them.
func (b *Builder) Add(f []Facts) { b.lines = append(b.lines, f) }

// narrowHead is how many first bytes a line may have to be kept only in their
// groups. A line with more is in every group.
const narrowHead = 8

// Build gives the index of all lines that were added.
func (b *Builder) Build() *Index {
	m := maker{
		Index:      &Index{lines: len(b.lines)},
		texts:      make(map[string]uint32),
		setNumbers: make(map[syntax.ByteSet]uint16),
	}
	c := newCensus(len(b.lines))
	for _, line := range b.lines {
		for i := range line {
			c.count(&line[i])
		}
	}
	var groups [256]*groupBuilder
	wide := newGroupBuilder()
	for i, line := range b.lines {
		m.addLine(line)
		for j := range line {
			wide.place(&groups, int32(i), &line[j], c.choose(&line[j]))
		}
	}
	m.clip()
	m.group(wide, &groups)
	return m.Index
}

// place puts a line into the groups where it belongs; wide is the common one.
func (g *groupBuilder) place(groups *[256]*groupBuilder, line int32, f *Facts, k key) {
	if len(f.Head) == 0 || f.Head[0].Len() > narrowHead {
		g.add(line, k)
		return
	}
	for first := range 256 {
		if !f.Head[0].Contains(byte(first)) {
			continue
		}
		if groups[first] == nil {
			groups[first] = newGroupBuilder()
		}
		groups[first].add(line, k)
	}
}

// group makes the groups: number 0 for the lines that any first byte can have,
// and one for each byte that has lines of its own.
func (x *Index) group(wide *groupBuilder, own *[256]*groupBuilder) {
	common := group{always: wide.always, fixed: newFixedTable(wide.fixed), float: newFilter(wide.float)}
	common.heads = x.headsOf(common.always)
	x.groups = append(x.groups, common)
	for first, g := range own {
		if g == nil {
			continue
		}
		made := common
		if len(g.always) > 0 {
			made.always = sortedUnique(append(g.always, wide.always...))
			made.heads = x.headsOf(made.always)
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

func (x *Index) headsOf(lines []int32) []headMask {
	heads := make([]headMask, len(lines))
	for i, line := range lines {
		heads[i] = x.heads[line]
	}
	return heads
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

// sortedUnique sorts lines and drops repetitions.
func sortedUnique(lines []int32) []int32 {
	slices.Sort(lines)
	return slices.Compact(lines)
}
