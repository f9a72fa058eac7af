package schedule

import (
	"cmp"
	"slices"
	"time"
)

// A lane is what waits of one watch.
type lane struct {
	watch                 string
	waiting, later        heap   // visits and sweeps, for their time
	news, routine, sweeps heap   // that are due
	total                 int    // of all entries that are not in flight
	flying                int    // visits
	served                uint64 // when it was last: the count of all
	held                  bool
	turn                  bool // the next one is of the routine, if that is pressing
}

func (q *Queue) laneOf(watch string) *lane {
	l := q.lanes[watch]
	if l == nil {
		l = &lane{watch: watch, waiting: heap{as: waiting, less: byDue}, later: heap{as: later, less: byDue},
			news: heap{as: news, less: byKind}, routine: heap{as: routine, less: byLate},
			sweeps: heap{as: sweeps, less: byDue}}
		q.lanes[watch] = l
		q.order = append(q.order, l)
	}
	return l
}

// await takes an entry that waits for its time.
func (l *lane) await(it *item) {
	if it.kind == Sweep {
		l.later.push(it)
		return
	}
	l.waiting.push(it)
}

// add takes an entry that is due. News on which a promise depends count as
// routine too.
func (l *lane) add(it *item) {
	switch {
	case it.kind == Sweep:
		l.sweeps.push(it)
		return
	case it.kind == Verify:
		l.routine.push(it)
		return
	case it.late != never:
		l.routine.push(it)
	}
	l.news.push(it)
}

// pick gives the entry of the lane that comes first. News go first, but as soon
// as the routine is pressing the two take turns, so that a flood of finds
// breaks no promise to what is known; within the routine the most pressing
// goes first.
func (l *lane) pick(now time.Time) *item {
	news, routine := l.news.first(), l.routine.first()
	it := news
	switch {
	case news == nil:
		it = routine
	case routine == nil || news.kind == Manual || nanos(now) < routine.late:
	case l.turn:
		l.turn, it = false, routine
	default:
		l.turn = true
	}
	return it
}

func (l *lane) idle() bool { return l.news.first() == nil && l.routine.first() == nil }

// manual says whether somebody waits for what comes first.
func (l *lane) manual() bool {
	it := l.news.first()
	return it != nil && it.kind == Manual
}

// chooseLane gives the watch whose turn it is to visit, nil when none has
// anything to visit: one for which somebody waits, then the one with the fewest
// visits under way, then the one that was served longest ago.
func (q *Queue) chooseLane() *lane {
	var best *lane
	for _, l := range q.order {
		if !l.held && !l.idle() && (best == nil || l.before(best)) {
			best = l
		}
	}
	return best
}

func (l *lane) before(other *lane) bool {
	if a, b := l.manual(), other.manual(); a != b {
		return a
	}
	if l.flying != other.flying {
		return l.flying < other.flying
	}
	return l.served < other.served
}

// nextSweep takes the sweep that is due first, or nil.
func (q *Queue) nextSweep() *item {
	var best *item
	for _, l := range q.order {
		it := l.sweeps.first()
		if it != nil && !l.held && (best == nil || it.due < best.due) {
			best = it
		}
	}
	if best != nil {
		q.leave(best)
	}
	return best
}

// catchUp is how much of a watch's mean rate what was left behind may take to
// be made up, beside what becomes due meanwhile.
const catchUp = 3

// Spread makes what is overdue of a watch due anew, one after the other, so
// that a sensor that starts again, wakes or is let go on does not ask all at
// once. Confirmations go first, then what is most pressing. The pace is such
// that with known endpoints, each asked once in every, no more than catchUp
// times the usual rate comes to it: what is all due takes a third of every,
// a little of it a little of that. What somebody waits for, what was just seen
// and sweeps stay as they are.
func (q *Queue) Spread(watch string, known int, every time.Duration, now time.Time) {
	q.promote(now)
	l := q.laneOf(watch)
	from := []*heap{&l.news, &l.routine}
	for of, h := range q.hosts {
		if of.watch == watch {
			from = append(from, &h.parked)
		}
	}
	var late []*item
	for _, h := range from {
		for _, it := range slices.Clone(h.items) {
			if it.isIn(h) && (it.kind == Confirm || it.kind == Verify) {
				q.leave(it)
				late = append(late, it)
			}
		}
	}
	slices.SortFunc(late, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.late, b.late))
	})
	gap := every / catchUp / time.Duration(max(1, known, len(late)))
	for i, it := range late {
		it.due = nanos(now.Add(time.Duration(i) * gap))
		if it.late < it.due && it.late != never {
			it.late = it.due
		}
		l.waiting.push(it)
	}
	for of := range q.hosts {
		q.refill(of)
	}
}
