package inventory

import "time"

// add counts one more visit of the same kind. A visit before the last one
// means that the clock was set back: what had been counted then proves no
// span of time, and the row begins anew.
func (s *Streak) add(at time.Time) {
	if s.Count == 0 || at.Before(s.Last) {
		*s = Streak{Count: 1, First: at, Last: at}
		return
	}
	s.Count++
	s.Last = at
}

// holds tells whether the row is long enough in visits and in time.
func (s Streak) holds(visits int, over time.Duration) bool {
	return s.Count >= atLeastOne(visits) && s.Last.Sub(s.First) >= over
}

// due tells when the row should be continued, so that its visits are spread
// evenly and the last one needed also completes the span. It is never before
// now.
func (s Streak) due(visits int, over time.Duration, now time.Time) time.Time {
	visits = atLeastOne(visits)
	step := over / time.Duration(max(visits-1, 1))
	at := now.Add(step)
	if s.Last.Equal(now) && s.Count >= visits-1 {
		at = s.First.Add(over)
	}
	if at.Before(now) {
		return now
	}
	return at
}

func atLeastOne(n int) int { return max(n, 1) }
