package capture

import "time"

// markEvery is how often a sweep by connections tells its place: each time costs
// who keeps it a sync of a disk.
const markEvery = 2 * time.Second

// A marks follows how far a sweep is whose targets end out of order: 16 bytes for
// each that began, back to the first that has not ended. It belongs to who holds
// the sweep's lock. The zero value follows nothing.
type marks struct {
	tell func(place uint64) // nil: nobody wants to know
	from uint64             // number of open[0]
	open []mark             // that began and have not ended, and what lies between
	last time.Time          // when a place was told
	told uint64
}

// A mark is one target of those that began.
type mark struct {
	place uint64 // in the order of the plan
	ended bool
}

func newMarks(p *Plan, now time.Time) marks {
	return marks{tell: p.Checkpoint, told: p.From, last: now}
}

// begin notes that the target at a place begins, and gives its number. Places
// ascend; those between were left out.
func (m *marks) begin(place uint64) (number uint64) {
	if m.tell == nil {
		return 0
	}
	m.open = append(m.open, mark{place: place})
	return m.from + uint64(len(m.open)) - 1
}

// end notes that a target was told.
func (m *marks) end(number uint64, now time.Time) {
	if m.tell == nil {
		return
	}
	m.open[number-m.from].ended = true
	place := m.told
	for len(m.open) > 0 && m.open[0].ended {
		place = m.open[0].place + 1
		m.open, m.from = m.open[1:], m.from+1
	}
	if len(m.open) > 0 {
		place = m.open[0].place // what lies between was left out
	}
	if place > m.told && now.Sub(m.last) >= markEvery {
		m.told, m.last = place, now
		m.tell(place)
	}
}
