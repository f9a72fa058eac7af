package budget

import (
	"container/list"
	"net/netip"
)

// slots are a number of places, and who waits for one: first come, first
// served. [Limiter.mu] guards them. While somebody waits none is free.
type slots struct {
	free  int       // below 0: so many must come back before one is
	queue list.List // of *ticket
}

// A ticket is the use of one slot of a host, but for loopback, and of one of
// those in all. Who waits for the host holds none of the others, so it stands
// in nobody's way.
type ticket struct {
	lim   *Limiter
	host  *host  // nil for loopback
	own   *slots // the host's, nil for loopback
	all   *slots
	ready func()

	hasOwn, hasAll bool
	queue          *slots        // it waits for one of these, in this place
	place          *list.Element // nil while it does not wait
	over           bool
}

// Admit asks for a conversation with one endpoint of a. If granted is false it
// is not yet allowed, and ready will be called when it is, from any goroutine
// and at most once; ready must not block. Release ends the conversation, or the
// wait; it may be called more than once. A call of ready that is under way
// then still comes, and means nothing.
//
// So few conversations run per host (any number on loopback) and in all that
// each may hold VisitConnections connections; while it holds no more than
// these, [Limiter.Connect] grants at once.
func (l *Limiter) Admit(a netip.Addr, ready func()) (release func(), granted bool) {
	t := &ticket{lim: l, host: l.hold(a), all: &l.visits, ready: ready}
	if t.host != nil {
		t.own = &t.host.visits
	}
	return t.release, t.begin()
}

// Connect asks for one more open connection to a, in the manner of
// [Limiter.Admit]. It counts until release is called.
//
// Who holds a connection and waits for another can wait for ever on somebody
// who does the same; asking Admit before excludes that.
func (l *Limiter) Connect(a netip.Addr, ready func()) (release func(), granted bool) {
	t := &ticket{lim: l, host: l.hold(a), all: &l.conns, ready: ready}
	if t.host != nil {
		t.own = &t.host.conns
	}
	return t.release, t.begin()
}

func (t *ticket) begin() (granted bool) {
	t.lim.mu.Lock()
	defer t.lim.mu.Unlock()
	return t.advance()
}

// advance takes what is free, the host's slot first, and reports whether t has
// all that it needs. The caller holds Limiter.mu.
func (t *ticket) advance() bool {
	if t.own != nil && !t.hasOwn {
		if t.hasOwn = t.take(t.own); !t.hasOwn {
			return false
		}
	}
	t.hasAll = t.take(t.all)
	return t.hasAll
}

// take gives t a slot, or a place in the queue.
func (t *ticket) take(s *slots) bool {
	if s.free <= 0 {
		t.queue, t.place = s, s.queue.PushBack(t)
		return false
	}
	s.free--
	return true
}

// give gives a slot back. Who waited longest has it, and is to be told if that
// was all it waited for. The caller holds Limiter.mu.
func (s *slots) give() (ready func()) {
	first := s.queue.Front()
	if first == nil || s.free < 0 {
		s.free++
		return nil
	}
	t := s.queue.Remove(first).(*ticket)
	t.queue, t.place = nil, nil
	if s == t.all {
		t.hasAll = true
		return t.ready
	}
	t.hasOwn = true
	if t.advance() {
		return t.ready
	}
	return nil
}

// release gives back what t has and ends its wait, once.
func (t *ticket) release() {
	for _, ready := range t.end() {
		if ready != nil {
			ready() // without the lock: it may ask for more
		}
	}
}

func (t *ticket) end() (ready [2]func()) {
	t.lim.mu.Lock()
	defer t.lim.mu.Unlock()
	if t.over {
		return ready
	}
	t.over = true
	if t.place != nil {
		t.queue.queue.Remove(t.place)
	}
	if t.hasAll {
		ready[0] = t.all.give()
	}
	if t.hasOwn {
		ready[1] = t.own.give()
	}
	t.lim.dropLocked(t.host)
	return ready
}
