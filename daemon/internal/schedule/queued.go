package schedule

import "time"

// A Queued is what waits in the queue for one watch.
type Queued struct {
	Due, Later   int       // entries that could be done now, and that are for later
	Visit, Sweep time.Time // when the first of each kind is or was due; zero: none waits
}

// Queued gives what waits, by watch. It takes one step per entry.
func (q *Queue) Queued(now time.Time) map[string]Queued {
	loads := map[string]Queued{}
	for _, it := range q.items {
		l := loads[it.Watch]
		if it.Due.After(now) {
			l.Later++
		} else {
			l.Due++
		}
		first := &l.Visit
		if it.Kind == Sweep {
			first = &l.Sweep
		}
		if first.IsZero() || it.Due.Before(*first) {
			*first = it.Due
		}
		loads[it.Watch] = l
	}
	return loads
}
