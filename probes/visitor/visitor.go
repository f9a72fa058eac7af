// Package visitor lets pure conversations speak over real connections: it
// drives a [session.Machine] for each visit to an endpoint on the loops of
// package engine, and gives every visit an end.
//
// Whatever had reached this machine by the time for which a visit asked to be
// woken is told before it is woken, however loaded the machine is: a loop
// tells what it read before it runs timers, and a tunnel is given the time to
// decrypt what came. So load does not turn an answer into silence.
//
// A [Visitor] may be used by any number of goroutines. It keeps to its
// [Budget] in everything that it opens and sends, and a visit that waits for
// its host stands in no other's way.
//
// # Cost
//
// A visit has no goroutine, and a waiting connection costs what package engine
// says. A connection inside TLS has one goroutine, as crypto/tls blocks, which
// ends with it, one that reads an SSH host key three for that long, and holds at most maxUnread bytes that were not decrypted yet.
// The memory for matching exists once per loop, and that for TLS tickets, at
// most maxTickets bytes, once.
package visitor

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
)

// Config is what a Visitor needs.
type Config struct {
	// Loops carry the visits, which are spread evenly. They must stay open
	// until the Visitor is closed, and may be shared with others.
	Loops  []engine.Loop
	Prober *session.Prober
	Budget Budget // nil: no limits
	// Interface, if not empty, is the one that all connections are made by,
	// see [engine.Dial].
	Interface string
	Log       *slog.Logger // gets one debug record per visit; nil: none
	// Contacts, if set, is told of each connection and UDP socket when it is
	// over. It is called on a loop and must not block.
	Contacts func(Contact)
}

// A Budget says when something may be done. Its functions do not block. When
// granted is false, ready is called later, at most once, from any goroutine;
// the function given back ends the wait. Both may cross: then ready is ignored.
type Budget interface {
	// Admit asks to begin a visit, which holds its place until release.
	Admit(a netip.Addr, ready func()) (release func(), granted bool)
	// Pace asks to begin a TCP connection, or to send a datagram.
	Pace(to netip.AddrPort, ready func()) (cancel func(), granted bool)
	// Connect asks to hold one more connection until release.
	Connect(a netip.Addr, ready func()) (release func(), granted bool)
}

// A machine is what drives one conversation; *session.Machine is one.
type machine interface {
	Start(now time.Time) []session.Action
	Handle(now time.Time, e session.Event) []session.Action
	Observation(now time.Time) probes.Observation
}

// A Visitor visits endpoints.
type Visitor struct {
	newMachine     func(probes.Endpoint, session.Remembered, *match.Scratch) machine
	connectTimeout time.Duration
	budget         Budget
	via            string // interface; "": as routes say
	log            *slog.Logger
	contacts       func(Contact) // nil: nobody wants to know
	workers        []*worker
	next           atomic.Uint64 // worker
	tickets        tickets

	mu     sync.Mutex // guards closed, and the first Add of each visit
	closed bool
	alive  sync.WaitGroup // visits, connections and tunnels
}

// New makes a Visitor on loops that run.
func New(cfg Config) (*Visitor, error) {
	if cfg.Prober == nil {
		return nil, errors.New("visitor: no prober")
	}
	return setup(&Visitor{
		connectTimeout: cfg.Prober.Settings().ConnectTimeout,
		newMachine: func(ep probes.Endpoint, known session.Remembered, sc *match.Scratch) machine {
			return cfg.Prober.NewMachine(ep, known, sc)
		},
	}, cfg)
}

// setup completes a Visitor that knows its machines.
func setup(v *Visitor, cfg Config) (*Visitor, error) {
	if len(cfg.Loops) == 0 {
		return nil, errors.New("visitor: no loops")
	}
	v.budget, v.via, v.log, v.contacts = cfg.Budget, cfg.Interface, cfg.Log, cfg.Contacts
	if v.budget == nil {
		v.budget = unlimited{}
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	for _, l := range cfg.Loops {
		v.workers = append(v.workers, newWorker(v, l))
	}
	return v, nil
}

// Begin asks what listens at the endpoint, and calls done with the answer,
// once, on a loop: done must not block. A remembered probe is sent alone, and
// others only if it does not identify the endpoint again.
//
// Cancel ends the visit within milliseconds with what is known. It may be
// called at any time and more than once. A closed Visitor calls done before
// Begin returns.
func (v *Visitor) Begin(ep probes.Endpoint, known session.Remembered,
	done func(probes.Observation)) (cancel func(reason error)) {
	w := v.workers[v.next.Add(1)%uint64(len(v.workers))]
	s := &visit{worker: w, ep: ep, known: known, done: done}
	if !v.post(s) {
		done(s.unasked(net.ErrClosed))
		return func(error) {}
	}
	return func(reason error) {
		w.loop.Post(func() { s.cancel(reason) })
	}
}

// post hands a visit to its loop.
func (v *Visitor) post(s *visit) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	v.alive.Add(1) // before the loop has it, which may end it at once
	if !s.loop.Post(s.begin) {
		v.alive.Done()
		return false
	}
	return true
}

// Visit is [Visitor.Begin] for who can wait. It returns within some
// milliseconds after ctx is done.
func (v *Visitor) Visit(ctx context.Context, ep probes.Endpoint, known session.Remembered) probes.Observation {
	result := make(chan probes.Observation, 1)
	cancel := v.Begin(ep, known, func(o probes.Observation) { result <- o })
	select {
	case o := <-result:
		return o
	case <-ctx.Done():
		cancel(ctx.Err())
		return <-result
	}
}

// Close ends all visits with what is known, and waits until nothing of them is
// left. Later visits end at once. It may be called more than once.
func (v *Visitor) Close() {
	v.mu.Lock()
	first := !v.closed
	v.closed = true
	v.mu.Unlock()
	if first {
		for _, w := range v.workers {
			w.loop.Post(w.close)
		}
	}
	v.alive.Wait()
}

// unlimited allows everything.
type unlimited struct{}

func nothing() {}

func (unlimited) Admit(netip.Addr, func()) (func(), bool)    { return nothing, true }
func (unlimited) Pace(netip.AddrPort, func()) (func(), bool) { return nothing, true }
func (unlimited) Connect(netip.Addr, func()) (func(), bool)  { return nothing, true }
