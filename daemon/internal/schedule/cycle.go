package schedule

import (
	"time"

	"sonde/daemon/internal/event"
)

// Crossed says whether the endpoint's point in a cycle lies between two times. The
// points of all endpoints lie evenly in it, and apart from those of Turn.
func (r Rhythm) Crossed(k event.Key, from, to time.Time, every time.Duration) bool {
	if every <= 0 || !to.After(from) {
		return false
	}
	phase := int64(mix(r.hash(k)+1) % uint64(every))
	cycle := func(t time.Time) int64 {
		n := t.UnixNano() - phase
		if n < 0 {
			return n/int64(every) - 1
		}
		return n / int64(every)
	}
	return cycle(from) != cycle(to)
}
