package schedule

import "time"

// A Queued is what waits in the queue for one watch.
type Queued struct {
	Due, Later   int       // entries that could be done now, and that are for later
	Visit, Sweep time.Time // when the one of each kind that goes first is or was due; zero: none waits
}

// Queued gives what waits, by watch.
func (q *Queue) Queued(now time.Time) map[string]Queued {
	q.promote(now)
	all := make(map[string]Queued, len(q.order))
	for _, l := range q.order {
		if l.total == 0 {
			continue
		}
		n := Queued{Later: len(l.waiting.items) + len(l.later.items)}
		n.Due = l.total - n.Later
		n.Visit = firstOf(&l.news, &l.routine, &l.waiting)
		n.Sweep = firstOf(&l.sweeps, &l.later)
		all[l.watch] = n
	}
	return all
}

// firstOf tells when what comes first of the first heap that has anything is due.
func firstOf(heaps ...*heap) time.Time {
	for _, h := range heaps {
		if it := h.first(); it != nil {
			return timeOf(it.due)
		}
	}
	return time.Time{}
}
