// Package schedule decides what is due when. It is pure: the time is an
// argument, nothing blocks, nothing is sent.
//
// A [Queue] holds at most one entry per endpoint or sweep. An entry that was
// taken is in flight until [Queue.Done]; what is asked of it meanwhile is
// remembered and not lost, and it never runs twice at once.
//
// # Cost
//
// Put, Next and Done take O(log n) time; an entry takes about 150 bytes.
package schedule

import (
	"container/heap"
	"hash/maphash"
	"time"

	"sonde/daemon/internal/event"
)

// Kind is what is to be done. Of entries that are due at the same time the
// lower kind goes first; otherwise the one that is due first does, so that
// under load all are late alike and none waits for ever.
type Kind uint8

// The kinds, most urgent first.
const (
	Confirm Kind = iota // look again at what may have changed
	Sighted             // look at what discovery just saw
	Verify              // keep the promise verify_every
	Sweep               // keep the promise discover_every
)

// ID names an entry: an endpoint (Sweep empty) or a sweep.
type ID struct {
	Key   event.Key
	Sweep string // "watch/transport"
}

// An Entry is one thing to do.
type Entry struct {
	ID    ID
	Watch string
	Kind  Kind
	Due   time.Time
}

// A Queue is what is to be done, by due time. It belongs to one goroutine.
type Queue struct {
	heap     entries
	byID     map[ID]*item
	inFlight map[ID]*Entry // what is asked for meanwhile, nil for nothing
}

// NewQueue returns an empty queue.
func NewQueue() *Queue {
	return &Queue{byID: map[ID]*item{}, inFlight: map[ID]*Entry{}}
}

// Put makes the entry due at e.Due. An entry that is there already moves when
// the new one is due earlier, and keeps the more urgent kind of the two when
// both are due at the same time; an earlier due time stands.
func (q *Queue) Put(e Entry) {
	if asked, flying := q.inFlight[e.ID]; flying {
		if asked == nil || e.Due.Before(asked.Due) {
			q.inFlight[e.ID] = &e
		}
		return
	}
	it, ok := q.byID[e.ID]
	if !ok {
		it = &item{Entry: e}
		q.byID[e.ID] = it
		heap.Push(&q.heap, it)
		return
	}
	if e.Due.Before(it.Due) || e.Due.Equal(it.Due) && e.Kind < it.Kind {
		it.Entry = e
		heap.Fix(&q.heap, it.index)
	}
}

// Next takes the first entry that is due, and marks it as in flight.
func (q *Queue) Next(now time.Time) (Entry, bool) {
	if len(q.heap) == 0 || q.heap[0].Due.After(now) {
		return Entry{}, false
	}
	it := heap.Pop(&q.heap).(*item)
	delete(q.byID, it.ID)
	q.inFlight[it.ID] = nil
	return it.Entry, true
}

// Done ends an entry that was taken. What was asked of it meanwhile becomes
// due again at its time.
func (q *Queue) Done(id ID) {
	asked := q.inFlight[id]
	delete(q.inFlight, id)
	if asked != nil {
		q.Put(*asked)
	}
}

// Remove forgets an entry that is not in flight.
func (q *Queue) Remove(id ID) {
	if it, ok := q.byID[id]; ok {
		heap.Remove(&q.heap, it.index)
		delete(q.byID, id)
	}
}

// NextDue tells when the first entry is due.
func (q *Queue) NextDue() (time.Time, bool) {
	if len(q.heap) == 0 {
		return time.Time{}, false
	}
	return q.heap[0].Due, true
}

// Len is how many entries wait.
func (q *Queue) Len() int { return len(q.heap) }

// InFlight is how many entries were taken and are not done.
func (q *Queue) InFlight() int { return len(q.inFlight) }

// Overdue counts the entries of each watch that should have been done before
// the given time.
func (q *Queue) Overdue(before time.Time) map[string]int {
	late := map[string]int{}
	for _, it := range q.heap {
		if it.Due.Before(before) {
			late[it.Watch]++
		}
	}
	return late
}

// Routine tells when an endpoint is verified next: within every of its last
// visit, at a point between 80 and 95 % of that span that the seed and the key
// fix, so that endpoints found together do not stay together, and the promise
// has room for a queue.
func Routine(seed maphash.Seed, k event.Key, last time.Time, every time.Duration) time.Time {
	const steps = 1 << 10
	share := float64(maphash.Comparable(seed, k)%steps) / steps
	return last.Add(time.Duration(float64(every) * (0.80 + 0.15*share)))
}

type item struct {
	Entry
	index int
}

// entries is a heap by due time, then kind.
type entries []*item

func (h entries) Len() int { return len(h) }

func (h entries) Less(i, j int) bool {
	if !h[i].Due.Equal(h[j].Due) {
		return h[i].Due.Before(h[j].Due)
	}
	return h[i].Kind < h[j].Kind
}

func (h entries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *entries) Push(x any) {
	it := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}

func (h *entries) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}
