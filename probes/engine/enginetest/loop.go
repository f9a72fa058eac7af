// Package enginetest holds what tests of and with package engine need: a [Loop]
// in virtual time whose peers are scripted by functions, and [Contract], the
// test that every implementation of engine.Loop passes.
package enginetest

import (
	"container/heap"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"sonde/probes/engine"
)

// Epoch is when the time of each [Loop] begins.
var Epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// A Loop is an engine.Loop without sockets, goroutines or a clock: time jumps
// from event to event, and the same script gives the same events in the same
// order. All that is due at one time happens in the order in which it was
// asked for.
type Loop struct {
	now    time.Time
	events events
	seq    int
	peers  map[listener]Peer
	conns  []*Conn
	closed bool

	mu     sync.Mutex // guards what follows
	posted []func()
	gone   bool
}

type listener struct {
	network string
	addr    netip.AddrPort
}

// A Peer plays the other side of one connection. It is called when the SYN
// arrives, or the UDP socket is opened, and says what will happen; a TCP peer
// that says nothing drops the SYN.
type Peer func(r *Remote)

var _ engine.Loop = (*Loop)(nil)

// New makes a loop without peers.
func New() *Loop {
	return &Loop{now: Epoch, peers: map[listener]Peer{}}
}

// Serve has p play each connection to an address. Where nobody does, TCP is
// refused after a millisecond, and datagrams are rejected.
func (l *Loop) Serve(network string, addr netip.AddrPort, p Peer) {
	l.peers[listener{network, addr}] = p
}

// refuse plays who has no peer.
func refuse(r *Remote) {
	if r.Dial().Network == "tcp" {
		r.End(time.Millisecond, syscall.ECONNREFUSED)
		return
	}
	r.OnReceive(func([]byte) { r.Reject(time.Millisecond, syscall.ECONNREFUSED) })
}

// Post implements engine.Loop.
func (l *Loop) Post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return false
	}
	l.posted = append(l.posted, f)
	return true
}

// Now implements engine.Loop.
func (l *Loop) Now() time.Time { return l.now }

// Open implements engine.Loop.
func (l *Loop) Open(d engine.Dial, h engine.Handler) engine.Conn {
	c := &Conn{l: l, d: d, h: h, began: l.now}
	l.conns = append(l.conns, c)
	r := &Remote{c: c}
	c.remote = r
	if l.closed {
		l.after(0, func() { c.end(net.ErrClosed) })
		return c
	}
	peer := l.peers[listener{d.Network, d.Remote}]
	if peer == nil {
		peer = refuse
	}
	l.after(0, func() { c.begin(peer) })
	return c
}

// Conns gives all connections that were opened so far, in order.
func (l *Loop) Conns() []*Conn { return l.conns }

// Step runs what was posted, or else the next event, at its time. It reports
// false when there is nothing to run.
func (l *Loop) Step() bool {
	if f := l.takePosted(); f != nil {
		f()
		return true
	}
	for len(l.events) > 0 {
		e := heap.Pop(&l.events).(*event)
		if e.f == nil {
			continue // stopped
		}
		if e.at.After(l.now) {
			l.now = e.at
		}
		f := e.f
		e.f = nil
		f()
		return true
	}
	return false
}

// Run steps until nothing is left to do.
func (l *Loop) Run() {
	for l.Step() {
	}
}

// RunUntil steps through all that happens up to a time, and ends at it.
func (l *Loop) RunUntil(at time.Time) {
	for {
		next, ok := l.next()
		if !ok || next.After(at) {
			break
		}
		l.Step()
	}
	if at.After(l.now) {
		l.now = at
	}
}

// next is when the next Step happens.
func (l *Loop) next() (time.Time, bool) {
	l.mu.Lock()
	posted := len(l.posted) > 0
	l.mu.Unlock()
	if posted {
		return l.now, true
	}
	for len(l.events) > 0 {
		if l.events[0].f != nil {
			return l.events[0].at, true
		}
		heap.Pop(&l.events)
	}
	return time.Time{}, false
}

// Close ends the loop like an engine's: what was posted runs, and connections
// are told.
func (l *Loop) Close() error {
	l.mu.Lock()
	l.gone = true
	l.mu.Unlock()
	for f := l.takePosted(); f != nil; f = l.takePosted() {
		f()
	}
	l.closed = true
	for i := 0; i < len(l.conns); i++ { // handlers may open more
		l.conns[i].end(net.ErrClosed)
	}
	l.events = nil
	return nil
}

func (l *Loop) takePosted() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.posted) == 0 {
		return nil
	}
	f := l.posted[0]
	l.posted = l.posted[1:]
	return f
}

// after runs f when d has passed.
func (l *Loop) after(d time.Duration, f func()) *event {
	return l.at(l.now.Add(max(0, d)), f)
}

func (l *Loop) at(t time.Time, f func()) *event {
	e := &event{at: t, seq: l.seq, f: f}
	l.seq++
	heap.Push(&l.events, e)
	return e
}

// NewTimer implements engine.Loop.
func (l *Loop) NewTimer(f func()) engine.Timer { return &timer{l: l, f: f} }

// A timer is one event at most.
type timer struct {
	l *Loop
	f func()
	e *event
}

func (t *timer) Reset(at time.Time) {
	t.Stop()
	t.e = t.l.at(at, t.f)
}

func (t *timer) Stop() {
	if t.e != nil {
		t.e.f = nil
	}
}

// An event is one thing to happen; without f it does not.
type event struct {
	at  time.Time
	seq int
	f   func()
}

// events is a heap of events, those first that happen first.
type events []*event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if e[i].at.Equal(e[j].at) {
		return e[i].seq < e[j].seq
	}
	return e[i].at.Before(e[j].at)
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(*event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	return x
}
