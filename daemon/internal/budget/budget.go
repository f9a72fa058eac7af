// Package budget keeps all that is sent within the operator's limits: packets
// per second, connections at once and new connections per second, in all and
// per host.
//
// A [Limiter] is shared by everything that sends. Asking it waits until the
// answer is yes or the context ends; it never says yes beyond a limit, with
// one exception that is meant: rates, and the limits per host, do not hold for
// loopback, where there is no wire to fill and no device to harm. The limit of
// connections in all does.
//
// # Cost
//
// Memory is held for hosts that were asked about in the last seconds only; see
// forgetAfter.
package budget

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits are the operator's numbers. All must be positive.
type Limits struct {
	PacketsPerSecond     int
	HostPacketsPerSecond int

	Connections     int // conversations open at once; discovery has its own share
	HostConnections int

	HostNewConnectionsPerSecond int
}

// ConnPackets is what the conversation of one connection counts as: SYN, ACK,
// one request, FIN.
const ConnPackets = 4

// VisitConnections is how many connections one visit holds at most: one that
// only listens, and one that asks.
const VisitConnections = 2

// Bursts. In all a twentieth of a second may go at once, which is finer than
// any switch can tell from an even flow, yet spares timers at high rates. To
// one host only what one connection needs.
const (
	burstShare = 20
	hostBurst  = ConnPackets
)

// forgetAfter is how long an idle host is remembered. It must be long enough
// for its buckets to be full again, so that forgetting gives nothing away:
// hostBurst packets take 4 s at the lowest rate of 1/s. With it at most
// 2 × forgetAfter × PacketsPerSecond hosts are held: 20,000 (4 MiB) at 1,000
// packets/s.
const forgetAfter = 10 * time.Second

// A Limiter is safe for any number of goroutines.
type Limiter struct {
	limits  Limits
	packets *rate.Limiter
	conns   chan struct{} // one element per open connection
	visits  chan struct{} // one element per running visit

	mu     sync.Mutex // guards what follows
	hosts  map[netip.Addr]*host
	forgot time.Time // when idle hosts were forgotten last
}

// A host is what is remembered of one address.
type host struct {
	packets *rate.Limiter
	dials   *rate.Limiter
	conns   chan struct{}
	visits  chan struct{} // one element per running visit

	users int       // calls that use it; guarded by Limiter.mu
	idle  time.Time // since when users is 0; guarded by Limiter.mu
}

// New checks the limits.
func New(l Limits) (*Limiter, error) {
	for _, n := range []struct {
		name  string
		value int
	}{
		{"packets per second", l.PacketsPerSecond},
		{"packets per second and host", l.HostPacketsPerSecond},
		{"connections", l.Connections},
		{"connections per host", l.HostConnections},
		{"new connections per second and host", l.HostNewConnectionsPerSecond},
	} {
		if n.value <= 0 {
			return nil, fmt.Errorf("budget: %s is %d, must be positive", n.name, n.value)
		}
	}
	if l.HostConnections < VisitConnections {
		return nil, fmt.Errorf("budget: %d connections per host, a visit may need %d",
			l.HostConnections, VisitConnections)
	}
	if l.HostConnections > l.Connections {
		return nil, fmt.Errorf("budget: %d connections per host do not fit into %d in all", l.HostConnections, l.Connections)
	}
	return &Limiter{
		limits:  l,
		packets: rate.NewLimiter(rate.Limit(l.PacketsPerSecond), max(ConnPackets, l.PacketsPerSecond/burstShare)),
		conns:   make(chan struct{}, l.Connections),
		visits:  make(chan struct{}, l.Connections/VisitConnections),
		hosts:   map[netip.Addr]*host{},
	}, nil
}

// Packet waits until one packet may be sent to a.
func (l *Limiter) Packet(ctx context.Context, a netip.Addr) error {
	h := l.hold(a) // nil for loopback
	if h != nil {
		defer l.drop(h)
		if err := wait(ctx, h.packets, 1); err != nil {
			return fmt.Errorf("packet to %s: %w", a, err)
		}
	}
	if h == nil {
		return ctx.Err()
	}
	if err := wait(ctx, l.packets, 1); err != nil {
		return fmt.Errorf("packet to %s: %w", a, err)
	}
	return nil
}

// Pace waits until one more connection to a host may be begun, and counts it
// as ConnPackets packets. It is apart from Conn so that the wait for a rate
// need not count against the timeout of a connect.
func (l *Limiter) Pace(ctx context.Context, to netip.AddrPort) error {
	h := l.hold(to.Addr())
	if h != nil {
		defer l.drop(h)
		if err := wait(ctx, h.dials, 1); err != nil {
			return fmt.Errorf("connection to %s: %w", to, err)
		}
		if err := wait(ctx, h.packets, ConnPackets); err != nil {
			return fmt.Errorf("connection to %s: %w", to, err)
		}
	}
	if h == nil {
		return ctx.Err()
	}
	if err := wait(ctx, l.packets, ConnPackets); err != nil {
		return fmt.Errorf("connection to %s: %w", to, err)
	}
	return nil
}

// wait takes n tokens. The library refuses at once, with an error of its own,
// what would outlast the context; that is its deadline exceeded.
func wait(ctx context.Context, l *rate.Limiter, n int) error {
	err := l.WaitN(ctx, n)
	if err != nil && ctx.Err() == nil {
		return context.DeadlineExceeded
	}
	return err
}

// Conn waits until one more connection to a may be open. It counts until
// release is called, which may be done more than once.
//
// Who holds a connection and waits for another can wait for ever on somebody
// who does the same; a [Limiter.Visit] around both excludes that.
func (l *Limiter) Conn(ctx context.Context, a netip.Addr) (release func(), err error) {
	undo := func() {}
	if h := l.hold(a); h != nil {
		if err := acquire(ctx, h.conns); err != nil {
			l.drop(h)
			return nil, fmt.Errorf("connection to %s: %w", a, err)
		}
		undo = func() { <-h.conns; l.drop(h) }
	}
	if err := acquire(ctx, l.conns); err != nil {
		undo()
		return nil, fmt.Errorf("connection to %s: %w", a, err)
	}
	return sync.OnceFunc(func() { <-l.conns; undo() }), nil
}

// Visit waits until a conversation with one endpoint of a may begin, and ends
// it when release is called, which may be done more than once. So few visits run
// per host (any number on loopback) and in all that each may hold
// VisitConnections connections; within a visit that opens no more than these,
// Conn does not wait.
func (l *Limiter) Visit(ctx context.Context, a netip.Addr) (release func(), err error) {
	h := l.hold(a)
	undo := func() {}
	if h != nil {
		if err := acquire(ctx, h.visits); err != nil {
			l.drop(h)
			return nil, fmt.Errorf("visit to %s: %w", a, err)
		}
		undo = func() { <-h.visits; l.drop(h) }
	}
	if err := acquire(ctx, l.visits); err != nil {
		undo()
		return nil, fmt.Errorf("visit to %s: %w", a, err)
	}
	return sync.OnceFunc(func() { <-l.visits; undo() }), nil
}

func acquire(ctx context.Context, slots chan<- struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hold gives the host of an address until drop, and nil for loopback.
func (l *Limiter) hold(a netip.Addr) *host {
	a = a.Unmap()
	if a.IsLoopback() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(time.Now())
	h := l.hosts[a]
	if h == nil {
		h = &host{
			packets: rate.NewLimiter(rate.Limit(l.limits.HostPacketsPerSecond), hostBurst),
			dials:   rate.NewLimiter(rate.Limit(l.limits.HostNewConnectionsPerSecond), 1),
			conns:   make(chan struct{}, l.limits.HostConnections),
			visits:  make(chan struct{}, l.limits.HostConnections/VisitConnections),
		}
		l.hosts[a] = h
	}
	h.users++
	return h
}

func (l *Limiter) drop(h *host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.users--; h.users == 0 {
		h.idle = time.Now()
	}
}

// forget drops the hosts that have been idle for long. The caller holds l.mu.
func (l *Limiter) forget(now time.Time) {
	if now.Sub(l.forgot) < forgetAfter {
		return
	}
	l.forgot = now
	for a, h := range l.hosts {
		if h.users == 0 && now.Sub(h.idle) >= forgetAfter {
			delete(l.hosts, a)
		}
	}
}
