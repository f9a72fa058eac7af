package schedule

import "time"

// A Queued is what waits in the queue for one watch.
type Queued struct {
	Due, Later   int       // entries that could be done now, and that are for later
	Visit, Sweep time.Time // when the first of each kind is or was due; zero: none waits
}

// Queued gives what waits, by watch. It takes one step per entry.
func (q *Queue) Queued(now time.Time) map[string]Queued {
	all := map[string]*Queued{}
	var (
		name string
		last *Queued // of name: many entries of a watch come in a row
	)
	for _, it := range q.items {
		if last == nil || it.Watch != name {
			name = it.Watch
			if last = all[name]; last == nil {
				last = &Queued{}
				all[name] = last
			}
		}
		last.add(&it.Entry, now)
	}
	out := make(map[string]Queued, len(all))
	for name, l := range all {
		out[name] = *l
	}
	return out
}

func (l *Queued) add(e *Entry, now time.Time) {
	if e.Due.After(now) {
		l.Later++
	} else {
		l.Due++
	}
	first := &l.Visit
	if e.Kind == Sweep {
		first = &l.Sweep
	}
	if first.IsZero() || e.Due.Before(*first) {
		*first = e.Due
	}
}
