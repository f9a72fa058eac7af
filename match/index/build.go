package index

import (
	"cmp"
	"encoding/binary"
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

// narrowHead is how many first bytes a line with a key may have to be kept only
// in their groups. A line with more is in every group.
const narrowHead = 8

// fewFloating is how many lines of a group may wait for a floating window to be
// candidates without it: to check that many costs less than to scan for them.
const fewFloating = 4

// Build gives the index of all lines that were added.
func (b *Builder) Build() *Index {
	m := maker{
		Index:      &Index{lines: len(b.lines)},
		texts:      make(map[string]uint32),
		setNumbers: make(map[syntax.ByteSet]uint16),
	}
	keys := chooseKeys(b.lines)
	wide := newGroupBuilder()
	var own [256]*groupBuilder
	for i, line := range b.lines {
		m.addLine(line)
		for j := range line {
			sortIn(wide, &own, int32(i), &line[j], keys[0])
			keys = keys[1:]
		}
	}
	m.clip()
	m.group(wide, &own)
	return m.Index
}

// sortIn puts a line into the groups where it belongs; wide is the common one.
func sortIn(wide *groupBuilder, own *[256]*groupBuilder, line int32, f *Facts, k key) {
	if len(f.Head) == 0 || f.Head[0].Len() > narrowHead && k.kind != keyNone {
		wide.add(line, k)
		return
	}
	for first := range 256 {
		if !f.Head[0].Contains(byte(first)) {
			continue
		}
		if own[first] == nil {
			own[first] = newGroupBuilder()
		}
		own[first].add(line, k)
	}
}

// group makes the groups: number 0 for the lines that any first byte can have,
// and others for bytes that have lines of their own, equal ones shared.
func (x *Index) group(wide *groupBuilder, own *[256]*groupBuilder) {
	x.groups = append(x.groups, x.commonGroup(wide))
	shared := make(map[string]uint16)
	var name []byte
	for first, g := range own {
		if g == nil {
			continue
		}
		name = name[:0]
		if len(g.fixed) == 0 && len(g.float) == 0 {
			for _, line := range g.always {
				name = binary.LittleEndian.AppendUint32(name, uint32(line))
			}
			if n, ok := shared[string(name)]; ok {
				x.byHead[first] = n
				continue
			}
		}
		x.byHead[first] = uint16(len(x.groups))
		if len(name) > 0 {
			shared[string(name)] = x.byHead[first]
		}
		x.groups = append(x.groups, x.joinedGroup(wide, g))
	}
}

// commonGroup makes group 0.
func (x *Index) commonGroup(wide *groupBuilder) group {
	g := group{fixed: newFixedTable(wide.fixed), float: wide.filter()}
	x.setAlways(&g, wide.always)
	return g
}

// joinedGroup makes a group of its own lines and the common ones. What only
// those have is shared with group 0.
func (x *Index) joinedGroup(wide, own *groupBuilder) group {
	g := x.groups[0]
	if len(own.fixed) > 0 {
		for k, lines := range wide.fixed {
			own.fixed[k] = append(own.fixed[k], lines...)
		}
		g.fixed = newFixedTable(own.fixed)
	}
	if len(own.float) > 0 {
		for k, lines := range wide.float {
			own.float[k] = append(own.float[k], lines...)
		}
		g.float = own.filter()
	}
	if len(own.always) > 0 {
		x.setAlways(&g, append(own.always, wide.always...))
	}
	return g
}

func (x *Index) setAlways(g *group, lines []int32) {
	g.always = sortedUnique(lines)
	g.gates = make([]gate, len(g.always))
	for i, line := range g.always {
		g.gates[i] = x.gates[line]
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

// filter makes the filter for the lines that wait for windows. If they are few
// they become candidates without one.
func (g *groupBuilder) filter() *filter {
	n := 0
	for _, lines := range g.float {
		n += len(lines)
	}
	if n > fewFloating {
		return newFilter(g.float)
	}
	for _, lines := range g.float {
		g.always = append(g.always, lines...)
	}
	return nil
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
