package schedule

import (
	"cmp"
	stdheap "container/heap"
	"slices"
	"time"
)

// A lane is what is due of one watch.
type lane struct {
	news, routine, sweeps heap
	flying                int    // visits
	served                uint64 // when it was last: the count of all
	held                  bool
	turn                  bool // the next one is of the routine, if that is pressing
}

func (q *Queue) laneOf(watch string) *lane {
	l := q.lanes[watch]
	if l == nil {
		l = &lane{news: heap{less: byKind}, routine: heap{less: byLate}, sweeps: heap{less: byDue}}
		q.lanes[watch] = l
		q.order = append(q.order, l)
	}
	return l
}

// add takes an entry that is due. News on which a promise depends count as
// routine too.
func (l *lane) add(it *item) {
	switch {
	case it.Kind == Sweep:
		l.sweeps.push(it, 0)
		return
	case it.Kind == Verify:
		l.routine.push(it, 0)
		return
	case !it.Late.IsZero():
		l.routine.push(it, 1)
	}
	l.news.push(it, 0)
}

// pick takes the entry of the lane that comes first. News go first, but as soon
// as the routine is pressing the two take turns, so that a flood of finds
// breaks no promise to what is known; within the routine the most pressing
// goes first.
func (l *lane) pick(now time.Time) *item {
	news, routine := l.news.first(), l.routine.first()
	it := news
	switch {
	case news == nil:
		it = routine
	case routine == nil || news.Kind == Manual || now.Before(routine.Late):
	case l.turn:
		l.turn, it = false, routine
	default:
		l.turn = true
	}
	it.leave()
	return it
}

func (l *lane) idle() bool { return l.news.first() == nil && l.routine.first() == nil }

// manual says whether somebody waits for what comes first.
func (l *lane) manual() bool {
	it := l.news.first()
	return it != nil && it.Kind == Manual
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
		if it != nil && !l.held && (best == nil || it.Due.Before(best.Due)) {
			best = it
		}
	}
	if best != nil {
		best.leave()
	}
	return best
}

// An item is an entry that waits in one heap, or in two.
type item struct {
	Entry
	at [2]place
}

// A place is where in a heap an item is.
type place struct {
	in    *heap // nil: nowhere
	index int
	it    *item
}

// leave takes the item out of where it is.
func (it *item) leave() {
	for i := range it.at {
		if p := &it.at[i]; p.in != nil {
			stdheap.Remove((*order)(p.in), p.index)
			p.in = nil
		}
	}
}

// A heap holds items, the least first.
type heap struct {
	less  func(a, b *Entry) bool
	items []*place
}

func byDue(a, b *Entry) bool {
	if !a.Due.Equal(b.Due) {
		return a.Due.Before(b.Due)
	}
	return a.Kind < b.Kind
}

func byKind(a, b *Entry) bool {
	if a.Kind != b.Kind {
		return a.Kind < b.Kind
	}
	return a.Due.Before(b.Due)
}

func byLate(a, b *Entry) bool { return a.Late.Before(b.Late) }

// byPromise is the order within a host: on one that has thousands of finds, its
// few known services go first.
func byPromise(a, b *Entry) bool {
	if m, n := a.Kind == Manual, b.Kind == Manual; m != n {
		return m
	}
	switch promised := !a.Late.IsZero(); {
	case promised != !b.Late.IsZero():
		return promised
	case promised:
		return byLate(a, b)
	default:
		return byKind(a, b)
	}
}

func (h *heap) first() *item {
	if len(h.items) == 0 {
		return nil
	}
	return h.items[0].it
}

// push puts an item here, as its place number n.
func (h *heap) push(it *item, n int) {
	it.at[n] = place{in: h, it: it}
	stdheap.Push((*order)(h), &it.at[n])
}

// order is a heap as container/heap wants it.
type order heap

func (h *order) Len() int { return len(h.items) }

func (h *order) Less(i, j int) bool { return h.less(&h.items[i].it.Entry, &h.items[j].it.Entry) }

func (h *order) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].index, h.items[j].index = i, j
}

func (h *order) Push(x any) {
	p := x.(*place)
	p.index = len(h.items)
	h.items = append(h.items, p)
}

func (h *order) Pop() any {
	last := len(h.items) - 1
	p := h.items[last]
	h.items[last] = nil
	h.items = h.items[:last]
	return p
}

var _ stdheap.Interface = (*order)(nil)

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
		for _, p := range slices.Clone(h.items) {
			if p.in == h && (p.it.Kind == Confirm || p.it.Kind == Verify) {
				p.it.leave()
				late = append(late, p.it)
			}
		}
	}
	slices.SortFunc(late, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), a.Late.Compare(b.Late))
	})
	gap := every / catchUp / time.Duration(max(1, known, len(late)))
	for i, it := range late {
		it.Due = now.Add(time.Duration(i) * gap)
		if it.Late.Before(it.Due) && !it.Late.IsZero() {
			it.Late = it.Due
		}
		q.waiting.push(it, 0)
	}
	for of := range q.hosts {
		q.refill(of)
	}
}
