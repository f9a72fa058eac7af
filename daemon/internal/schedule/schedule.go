// Package schedule decides what is due when. It is pure: the time is an
// argument, nothing blocks, nothing is sent.
//
// A [Queue] holds all work: discovery, the visits that keep a promise or confirm
// a change, those that listening hints at, and those that somebody asks for. It
// holds at most one entry per endpoint or sweep. An entry that was taken is in
// flight until [Queue.Done]; what is asked of it meanwhile is remembered and not
// lost, and it never runs twice at once.
//
// Of the watches that have a visit to make the one with the fewest under way
// goes first, so that a large one never starves a small one; and a host that
// has all its visits under way holds up nothing but itself.
//
// A [Rhythm] spreads the visits of a promise evenly over its time, a [Clock]
// measures that time whatever happens to the wall clock, and a [Promise] says
// when it is to be told broken.
//
// # Cost
//
// Put, Next and Done take O(log n) time, Next and Queued besides one step per
// watch; an entry takes about 150 bytes.
package schedule

import (
	"net/netip"
	"time"

	"sonde/daemon/internal/event"
)

// Kind is what is to be done.
type Kind uint8

// The kinds, most urgent first. Manual goes ahead of all; of the others, what
// is news goes first until the routine of its watch is pressing.
const (
	Manual  Kind = iota // somebody waits for it
	Confirm             // look again at what may have changed
	Sighted             // look at what discovery just saw, or listening
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
	Due   time.Time // not before
	Late  time.Time // from when on a promise is pressing; zero: none depends on it
}

// merge gives what is left of two entries for the same thing: the one that is
// due first, of two at the same time the more urgent, and by all means one for
// which somebody waits now. It keeps the promise that depended on the other.
func merge(a, b Entry, now time.Time) Entry {
	first, second := a, b
	if b.Due.Before(a.Due) {
		first, second = b, a
	}
	waits := second.Kind == Manual && !second.Due.After(now)
	if second.Kind < first.Kind && (waits || second.Due.Equal(first.Due)) {
		first, second = second, first
	}
	if first.Late.IsZero() || !second.Late.IsZero() && second.Late.Before(first.Late) {
		first.Late = second.Late
	}
	return first
}

// A Queue is what is to be done. It belongs to one goroutine.
type Queue struct {
	perHost func(netip.Addr) int
	items   map[event.Compact]*item // visits
	sweeps  map[string]*item
	names   map[*item]string // of sweeps
	flying  map[ID]*flight
	lanes   map[string]*lane
	order   []*lane // as they came
	hosts   map[hostOf]*host
	served  uint64 // entries given so far
	visits  int    // in flight
}

// A flight is an entry that was taken.
type flight struct {
	Entry
	asked *Entry // meanwhile, or nil
}

// A host is the visits of one watch to one address.
type host struct {
	flying int
	parked heap // due, while as many fly as may
}

type hostOf struct {
	watch string
	host  event.Host
}

func (e *Entry) host() hostOf { return hostOf{e.Watch, e.ID.Key.Host()} }

func newHost() *host { return &host{parked: heap{as: parked, less: byPromise}} }

// NewQueue returns an empty queue. perHost says how many visits of an address
// may be in flight at once, 0 for any number; it may be nil, for any number.
func NewQueue(perHost func(netip.Addr) int) *Queue {
	if perHost == nil {
		perHost = func(netip.Addr) int { return 0 }
	}
	return &Queue{perHost: perHost, items: map[event.Compact]*item{}, sweeps: map[string]*item{},
		names: map[*item]string{}, flying: map[ID]*flight{}, lanes: map[string]*lane{}, hosts: map[hostOf]*host{}}
}

// Put asks for an entry. Of two for the same thing that stays which is due
// first: it is done once, and both have what they want. Only what somebody
// waits for goes ahead of what is due already.
func (q *Queue) Put(e Entry, now time.Time) {
	if f, flying := q.flying[e.ID]; flying {
		if f.asked != nil {
			e = merge(*f.asked, e, now)
		}
		f.asked = &e
		return
	}
	it := q.find(e.ID)
	if it != nil {
		was := q.entry(it)
		if e = merge(was, e, now); e == was {
			return
		}
		q.drop(it)
		it.lane.total--
	} else {
		it = &item{}
		q.keep(it, e.ID)
	}
	it.set(&e, q.laneOf(e.Watch))
	it.lane.total++
	it.lane.await(it)
}

// Next takes the entry that comes first of those that are due. Without room
// for a visit it is one of discovery, which needs none.
func (q *Queue) Next(now time.Time, room bool) (Entry, bool) {
	q.promote(now)
	it := q.nextSweep()
	for it == nil && room {
		l := q.chooseLane()
		if l == nil {
			break
		}
		it = l.pick(now)
		if q.leave(it); q.park(it) {
			it = nil
		}
	}
	if it == nil {
		return Entry{}, false
	}
	return q.take(it), true
}

// promote brings what has become due to where it is taken from.
func (q *Queue) promote(now time.Time) {
	n := nanos(now)
	for _, l := range q.order {
		for _, h := range []*heap{&l.waiting, &l.later} {
			for it := h.first(); it != nil && it.due <= n; it = h.first() {
				q.leave(it)
				l.add(it)
			}
		}
	}
}

// park puts an entry aside whose host has enough of them in flight.
func (q *Queue) park(it *item) bool {
	e := q.entry(it)
	most := q.perHost(e.ID.Key.Addr)
	h := q.hosts[e.host()]
	if most == 0 || h == nil || h.flying < most {
		return false
	}
	h.parked.push(it)
	return true
}

// take marks an entry as in flight.
func (q *Queue) take(it *item) Entry {
	e := q.entry(it)
	q.forget(it)
	q.flying[e.ID] = &flight{Entry: e}
	if e.Kind == Sweep {
		return e
	}
	q.visits++
	q.served++
	it.lane.flying, it.lane.served = it.lane.flying+1, q.served
	h := q.hosts[e.host()]
	if h == nil {
		h = newHost()
		q.hosts[e.host()] = h
	}
	h.flying++
	return e
}

// Done ends an entry that was taken. What was asked of it meanwhile becomes
// due again at its time.
func (q *Queue) Done(id ID, now time.Time) {
	f := q.flying[id]
	if f == nil {
		return
	}
	delete(q.flying, id)
	if f.Kind != Sweep {
		q.visits--
		q.laneOf(f.Watch).flying--
		q.hosts[f.host()].flying--
		q.refill(f.host())
	}
	if f.asked != nil {
		q.Put(*f.asked, now)
	}
}

// refill lets as many of a host's parked entries go as it has room for.
func (q *Queue) refill(of hostOf) {
	h := q.hosts[of]
	if h == nil {
		return
	}
	for range max(1, q.perHost(of.host.Addr)) - h.flying {
		it := h.parked.first()
		if it == nil {
			break
		}
		q.leave(it)
		it.lane.add(it)
	}
	if h.flying == 0 && h.parked.first() == nil {
		delete(q.hosts, of)
	}
}

// drop takes an entry out of where it waits. Those of its host that wait
// behind it move up.
func (q *Queue) drop(it *item) {
	e := q.entry(it)
	q.leave(it)
	q.refill(e.host())
}

// Remove forgets an entry that is not in flight.
func (q *Queue) Remove(id ID) {
	if it := q.find(id); it != nil {
		q.drop(it)
		q.forget(it)
	}
}

// Hold keeps all entries of a watch back, or no longer.
func (q *Queue) Hold(watch string, on bool) { q.laneOf(watch).held = on }

// NextDue tells when the next entry becomes due of those that are not yet. What
// is due already waits for room, for its host or for its watch.
func (q *Queue) NextDue() (due time.Time, ok bool) {
	var first *item
	for _, l := range q.order {
		for _, h := range [...]*heap{&l.waiting, &l.later} {
			if it := h.first(); it != nil && (first == nil || it.due < first.due) {
				first = it
			}
		}
	}
	if first == nil {
		return time.Time{}, false
	}
	return timeOf(first.due), true
}

// Find gives the entry of an endpoint or sweep that waits.
func (q *Queue) Find(id ID) (Entry, bool) {
	it := q.find(id)
	if it == nil {
		return Entry{}, false
	}
	return q.entry(it), true
}

// Len is how many entries wait.
func (q *Queue) Len() int { return len(q.items) + len(q.sweeps) }

// Visits is how many visits were taken and are not done.
func (q *Queue) Visits() int { return q.visits }
