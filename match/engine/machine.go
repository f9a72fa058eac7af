package engine

import "slices"

// String gives "no match", "match" or "undecided".
func (r Result) String() string {
	switch r {
	case Match:
		return "match"
	case Undecided:
		return "undecided"
	}
	return "no match"
}

// A Machine is the memory of a search. The zero value is ready.
type Machine struct {
	stack   []frame
	slots   []int32  // two for each group, -1 where unset
	kept    []int32  // what Keep kept of them
	marks   []int32  // registers of opMark
	visited []uint64 // bits, choice × place
	trail   []uint32 // bits set inside open sub-runs
	sub     int32    // stack place of the innermost open frameSub, or -1
	steps   int
	memo    bool
	// automaton is built where backtracking goes on for long.
	automaton *automaton
	width     int // places per choice: length of the subject + 1
}

// A frame is a choice to come back to, or something to put right on the way.
type frame struct {
	kind frameKind
	pc   int32
	pos  int32
	aux  int32
}

type frameKind int32

const (
	frameGo     frameKind = iota // go on at pc, pos
	frameGreedy                  // loop at pc: one byte less than pos, not under aux
	frameLazy                    // loop at pc: one byte more than pos, aux more in all
	frameSlot                    // slot pc was pos
	frameMark                    // register pc was pos
	frameSub                     // sub-run of pc began at pos; aux: the one around it
	frameTrail                   // above each frameSub: pos is its start in the trail
)

// A Result says how a search ended.
type Result uint8

// The results of a search.
const (
	NoMatch   Result = iota
	Match            // Groups and Group tell where
	Undecided        // a limit was reached first
)

// wordsPerStep is how many words are cleared in the time of one step.
const wordsPerStep = 32

// useVisited switches the bits on, unless they would take too much memory.
func (m *Machine) useVisited(p *Program) bool {
	words := (p.choices*m.width + 63) / 64
	if words > maxVisited/64 {
		return false
	}
	m.visited = slices.Grow(m.visited[:0], words)[:words]
	clear(m.visited)
	m.steps += words / wordsPerStep
	m.memo = true
	return true
}

func (m *Machine) prepare(p *Program, n int) {
	slots := 2 * (p.groups + 1)
	m.slots = slices.Grow(m.slots[:0], slots)[:slots]
	m.marks = slices.Grow(m.marks[:0], len(p.outer))[:len(p.outer)]
	for i := range m.marks {
		m.marks[i] = -1
	}
	m.steps, m.memo, m.width = 0, false, n+1
}

// search tries one start after the other.
func (m *Machine) search(p *Program, b []byte, limit int) Result {
	last := len(b) - p.minLen
	if p.anchored {
		last = min(last, 0)
	}
	for start := 0; start <= last; start++ {
		if p.anchored {
			// There is nothing to look for.
		} else if len(p.prefix) > 0 {
			n := indexString(b[start:], p.prefix)
			if n < 0 {
				m.steps += (len(b) - start) / bytesPerStep
				return NoMatch
			}
			m.steps += n / bytesPerStep
			start += n
		} else if p.first != nil && !p.first.Contains(b[start]) {
			if m.steps++; m.steps > limit {
				return Undecided
			}
			continue
		}
		for i := range m.slots {
			m.slots[i] = -1
		}
		if r := m.run(p, b, start, limit); r != NoMatch {
			return r
		}
	}
	return NoMatch
}

// Keep remembers the groups of the last match; Restore brings them back after
// other searches.
func (m *Machine) Keep() { m.kept = append(m.kept[:0], m.slots...) }

// Restore brings back what Keep kept.
func (m *Machine) Restore() { m.slots = append(m.slots[:0], m.kept...) }

// SetGroups makes bounds, start and end of each group, those of the last match
// of a program with that many groups, as if the machine had found them. Tests
// use it to ask what follows from the groups that another engine found.
func (m *Machine) SetGroups(bounds []int32, groups int) {
	m.slots = append(m.slots[:0], bounds...)
	for len(m.slots) < 2*(groups+1) {
		m.slots = append(m.slots, -1)
	}
}

// Groups is the number of groups of the last match, the whole one included.
func (m *Machine) Groups() int { return len(m.slots) / 2 }

// Group gives the part of b that group n matched last; group 0 is the whole
// match. ok is false for a group that took no part. The bytes are b's own.
func (m *Machine) Group(b []byte, n int) (part []byte, ok bool) {
	lo, hi, ok := m.Bounds(n)
	if !ok {
		return nil, false
	}
	return b[lo:hi:hi], true
}

// Bounds is Group as offsets.
func (m *Machine) Bounds(n int) (lo, hi int, ok bool) {
	if n < 0 || 2*n+1 >= len(m.slots) {
		return 0, 0, false
	}
	lo, hi = int(m.slots[2*n]), int(m.slots[2*n+1])
	return lo, hi, lo >= 0 && hi >= lo
}

// seen reports whether the choice was taken in this state before, in which
// case it failed, and notes that it is taken now.
func (m *Machine) seen(p *Program, in *inst, pos int) bool {
	choice := int(in.memo)
	for l := in.loop; l > 0 && m.marks[l-1] == int32(pos); l = p.outer[l-1] {
		choice++
	}
	bit := uint32(choice*m.width + pos)
	w, mask := &m.visited[bit>>6], uint64(1)<<(bit&63)
	if *w&mask != 0 {
		return true
	}
	*w |= mask
	if m.sub >= 0 {
		m.trail = append(m.trail, bit)
	}
	return false
}

// bitsPerStep is how many bits are set and cleared again in the time of a step.
const bitsPerStep = 2

// forget clears the bits that were set since the trail was from long.
func (m *Machine) forget(from int) {
	m.steps += (len(m.trail) - from) / bitsPerStep
	for _, bit := range m.trail[from:] {
		m.visited[bit>>6] &^= 1 << (bit & 63)
	}
	m.trail = m.trail[:from]
}
