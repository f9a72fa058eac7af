// Package index finds, among the patterns of a long list, the few that a
// subject can match: no pattern that matches is ever left out. The patterns are
// called lines, and known by their numbers.
//
// An [Index] never changes once built, so goroutines may share it. What a
// search remembers is a [State], which belongs to one goroutine at a time.
//
// # Cost
//
// A search compares some keys at fixed offsets, and then, if lines are left
// that wait for a literal anywhere, looks at every fifth place of the subject.
// That takes about a quarter of a nanosecond for each byte.
package index

import (
	"encoding/binary"

	"sonde/match/syntax"
)

// An Index is built from the facts of a list of patterns.
type Index struct {
	lines  int
	gates  []gate   // of each line
	first  []uint32 // the first of each line's checks
	checks []check
	places []place
	runs   []storedRun
	text   []byte
	sets   []syntax.ByteSet
	groups []group
	byHead [256]uint16 // group of a subject by its first byte
}

// A group holds the lines that a subject with a certain first byte can match.
type group struct {
	always []int32 // lines without a key
	gates  []gate  // theirs, side by side to be read in one go
	fixed  fixedTable
	float  *filter // nil if no line waits for a window
}

// A fixedTable finds lines by a window at a fixed offset.
type fixedTable struct {
	offsets []uint8
	slots   []fixedSlot // open addressing, a power of two, or none
	shift   uint8
	lines   []int32
}

type fixedSlot struct {
	text     uint64
	offset   uint32
	from, to uint32 // in lines; equal in a free slot
}

// Len is the number of lines.
func (x *Index) Len() int { return x.lines }

// A State is the memory of a search in one Index. The zero value is ready.
type State struct {
	candidates lineSet
	found      foundWindows
	scanned    int // where the scan goes on
	lead       lead
}

// Begin prepares for a search in a new subject.
func (s *State) Begin(x *Index) {
	s.candidates.reset(x.lines)
	s.found.reset()
	s.scanned = 0
}

// Fixed marks the candidates that the fixed offsets of b show, and forgets
// earlier ones. It gives the first line that waits for a literal elsewhere,
// or Len if there is none; only then is a call of Float of use.
func (s *State) Fixed(x *Index, b []byte) (waiting int) {
	s.candidates.reset(x.lines)
	if len(b) == 0 {
		return x.lines
	}
	s.lead = leadOf(b)
	g := &x.groups[x.byHead[b[0]]]
	for i := range g.gates {
		if g.gates[i].pass(&s.lead) {
			s.candidates.add(g.always[i])
		}
	}
	g.fixed.mark(s, x, b)
	if g.float == nil {
		return x.lines
	}
	return int(g.float.first)
}

// mark makes a line a candidate if its gate lets the subject pass.
func (s *State) mark(x *Index, line int32) {
	if x.gates[line].pass(&s.lead) {
		s.candidates.add(line)
	}
}

func (t *fixedTable) mark(s *State, x *Index, b []byte) {
	for _, o := range t.offsets {
		if int(o)+windowSize > len(b) {
			break
		}
		text := binary.LittleEndian.Uint64(b[o:]) | foldWindow
		at := hashFixed(int(o), text) >> t.shift
		for {
			slot := &t.slots[at]
			if slot.from == slot.to {
				break
			}
			if slot.text == text && slot.offset == uint32(o) {
				for _, line := range t.lines[slot.from:slot.to] {
					s.mark(x, line)
				}
				break
			}
			at = (at + 1) & uint32(len(t.slots)-1)
		}
	}
}

// Float marks the candidates below the line limit that the literals of b show.
// It goes on where the last call since Begin ended: bytes once seen must stay
// what they are. It gives a measure of the work.
func (s *State) Float(x *Index, b []byte, limit int) (work int) {
	if len(b) == 0 {
		return 0
	}
	f := x.groups[x.byHead[b[0]]].float
	if f == nil {
		return 0
	}
	s.found.grow(len(f.windows))
	s.scanned, work = f.scan(b, s.scanned, false, &s.found)
	_, more := f.scan(b, s.scanned, true, &s.found)
	for _, n := range s.found.windows {
		w := &f.windows[n]
		for _, line := range f.lines[w.from:w.to] {
			if int(line) >= limit {
				break
			}
			s.mark(x, line)
			work++
		}
	}
	return work + more
}

// Next gives the first candidate at or behind line, or -1.
func (s *State) Next(line int) int { return s.candidates.next(line) }

// Take gives the first candidate below the line limit, which then is none any
// more, or -1.
func (s *State) Take(limit int) int { return s.candidates.take(limit) }
