package index

import (
	"math"
	"math/bits"
	"slices"

	"sonde/match/syntax"
)

// A maker fills an Index, and keeps what equal parts are shared by.
type maker struct {
	*Index
	texts      map[string]uint32
	setNumbers map[syntax.ByteSet]uint16
}

// addCheck stores what the facts say. The gate of the line has looked at the
// head of a branch that is alone.
func (m *maker) addCheck(f *Facts, alone, more bool) {
	c := check{minLen: int32(f.MinLen), maxLen: int32(f.MaxLen), more: more}
	if f.MaxLen < 0 {
		c.maxLen = math.MaxInt32
	}
	m.exactSets(f.Head)
	c.places = uint32(len(m.places))
	for i, r := range f.Runs {
		tail := f.Tail && i == len(f.Runs)-1
		inHead := alone && r.Offset >= 0 && r.Offset+len(r.Text) <= len(f.Head)
		short := r.Offset < 0 && len(r.Text) < minFloating
		if !tail && (inHead || short || r.Offset >= maxOffset) {
			continue
		}
		if tail {
			r.Offset, c.tail = -1, true
		}
		m.runs = append(m.runs, storedRun{
			at: m.store(r.Text), offset: int16(r.Offset), length: uint8(len(r.Text)),
			rare: uint8(rarest(r.Text)), fold: r.Fold,
		})
	}
	c.runs = uint32(len(m.runs))
	m.checks = append(m.checks, c)
}

// store appends to the text, or finds what is there already.
func (m *maker) store(text []byte) uint32 {
	at, ok := m.texts[string(text)]
	if !ok {
		at = uint32(len(m.text))
		m.text = append(m.text, text...)
		m.texts[string(text)] = at
	}
	return at
}

// broadSet is how large a set is that hardly tells subjects apart.
const broadSet = 128

// exactSets stores the places of a head that sharedBits says too little of.
func (m *maker) exactSets(head []syntax.ByteSet) {
	for i := range head {
		_, mask := sharedBits(&head[i])
		if n := head[i].Len(); n <= broadSet && n < 1<<(8-bits.OnesCount8(mask)) {
			m.places = append(m.places, place{uint8(i), m.set(head[i])})
		}
	}
}

// set stores a set, or finds it.
func (m *maker) set(s syntax.ByteSet) uint16 {
	n, ok := m.setNumbers[s]
	if !ok {
		n = uint16(len(m.sets))
		m.sets = append(m.sets, s)
		m.setNumbers[s] = n
	}
	return n
}

// addLine stores what the candidates of a line are checked for.
func (m *maker) addLine(branches []Facts) {
	m.gates = append(m.gates, gateOf(branches))
	m.first = append(m.first, uint32(len(m.checks)))
	for i := range branches {
		m.addCheck(&branches[i], len(branches) == 1, i < len(branches)-1)
	}
}

// clip gives back what the slices have too much.
func (m *maker) clip() {
	m.checks, m.places, m.runs = slices.Clip(m.checks), slices.Clip(m.places), slices.Clip(m.runs)
	m.text, m.sets = slices.Clip(m.text), slices.Clip(m.sets)
	m.gates, m.first = slices.Clip(m.gates), slices.Clip(m.first)
}
