package schedule

import (
	"math"
	"time"

	stdheap "container/heap"

	"sonde/daemon/internal/event"
)

// An item is an entry that waits in one heap, or in two: in the routine as its
// second. There may be a million, so that it says all in few bytes.
type item struct {
	key  event.Compact // of a visit
	lane *lane
	due  int64 // Unix nanoseconds
	late int64
	at   [2]int32 // where in its heaps it is
	in   [2]place
	kind Kind
}

// A place is a kind of heap.
type place uint8

const (
	nowhere place = iota
	waiting
	later
	news
	routine
	sweeps
	parked
)

// slot says which of an item's two places a heap is.
func (p place) slot() int {
	if p == routine {
		return 1
	}
	return 0
}

// never is the time of an item that stands for none.
const never = math.MinInt64

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixNano()
}

func timeOf(n int64) time.Time {
	if n == never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// set makes the item say what the entry does, but for its ID.
func (it *item) set(e *Entry, l *lane) {
	it.lane, it.kind, it.due, it.late = l, e.Kind, nanos(e.Due), nanos(e.Late)
}

// entry gives what an item stands for.
func (q *Queue) entry(it *item) Entry {
	e := Entry{Watch: it.lane.watch, Kind: it.kind, Due: timeOf(it.due), Late: timeOf(it.late)}
	if name, ok := q.names[it]; ok {
		e.ID.Sweep = name
	} else {
		e.ID.Key = it.key.Key()
	}
	return e
}

func (q *Queue) find(id ID) *item {
	if id.Sweep != "" {
		return q.sweeps[id.Sweep]
	}
	return q.items[id.Key.Compact()]
}

func (q *Queue) keep(it *item, id ID) {
	if id.Sweep != "" {
		q.sweeps[id.Sweep], q.names[it] = it, id.Sweep
		return
	}
	it.key = id.Key.Compact()
	q.items[it.key] = it
}

// forget is the end of an item that is in no heap any more.
func (q *Queue) forget(it *item) {
	it.lane.total--
	if name, ok := q.names[it]; ok {
		delete(q.sweeps, name)
		delete(q.names, it)
		return
	}
	delete(q.items, it.key)
}

// leave takes an item out of where it is.
func (q *Queue) leave(it *item) {
	for n, in := range it.in {
		if in != nowhere {
			stdheap.Remove((*order)(q.heapOf(it, in)), int(it.at[n]))
			it.in[n] = nowhere
		}
	}
}

func (q *Queue) heapOf(it *item, in place) *heap {
	l := it.lane
	switch in {
	case waiting:
		return &l.waiting
	case later:
		return &l.later
	case news:
		return &l.news
	case routine:
		return &l.routine
	case sweeps:
		return &l.sweeps
	default:
		return &q.hosts[hostOf{l.watch, it.key.Key().Host()}].parked
	}
}

// A heap holds items, the least first.
type heap struct {
	as    place
	less  func(a, b *item) bool
	items []*item
}

func byDue(a, b *item) bool {
	if a.due != b.due {
		return a.due < b.due
	}
	return a.kind < b.kind
}

func byKind(a, b *item) bool {
	if a.kind != b.kind {
		return a.kind < b.kind
	}
	return a.due < b.due
}

func byLate(a, b *item) bool { return a.late < b.late }

// byPromise is the order within a host: on one that has thousands of finds, its
// few known services go first.
func byPromise(a, b *item) bool {
	if m, n := a.kind == Manual, b.kind == Manual; m != n {
		return m
	}
	switch promised := a.late != never; {
	case promised != (b.late != never):
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
	return h.items[0]
}

func (h *heap) push(it *item) {
	it.in[h.as.slot()] = h.as
	stdheap.Push((*order)(h), it)
}

// isIn says whether the item is in a heap of this kind still. It is in none of
// another lane or host.
func (it *item) isIn(h *heap) bool { return it.in[h.as.slot()] == h.as }

// order is a heap as container/heap wants it.
type order heap

func (h *order) Len() int { return len(h.items) }

func (h *order) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }

func (h *order) Swap(i, j int) {
	n := h.as.slot()
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].at[n], h.items[j].at[n] = int32(i), int32(j)
}

func (h *order) Push(x any) {
	it := x.(*item)
	it.at[h.as.slot()] = int32(len(h.items))
	h.items = append(h.items, it)
}

func (h *order) Pop() any {
	last := len(h.items) - 1
	it := h.items[last]
	h.items[last] = nil
	h.items = h.items[:last]
	return it
}

var _ stdheap.Interface = (*order)(nil)
