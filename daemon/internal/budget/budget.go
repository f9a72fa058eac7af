// Package budget keeps all that is sent within the operator's limits: packets
// per second, connections at once and new connections per second, in all and
// per host.
//
// A [Limiter] is shared by everything that sends. It never says yes beyond a
// limit, with one exception that is meant: rates, and the limits per host, do
// not hold for loopback, where there is no wire to fill and no device to harm.
// The limit of connections in all does.
//
// Conversations are granted what they ask for at once, or told later by a call,
// so that a wait costs no goroutine; discovery waits in [Limiter.Packet]. The
// first who asked of a host, and of all the first whose host is ready, comes
// first: who waits for its host stands in nobody else's way.
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
// hostBurst packets take 4 s at the lowest rate of 1/s, and one connection 5 s at that of a careful host. With it at most
// 2 × forgetAfter × PacketsPerSecond hosts are held: 20,000 (4 MiB) at 1,000
// packets/s.
const forgetAfter = 10 * time.Second

// A Limiter is safe for any number of goroutines.
type Limiter struct {
	limits  Limits
	packets *rate.Limiter

	mu     sync.Mutex // guards what follows
	conns  slots      // of open connections
	visits slots
	hosts  map[netip.Addr]*host
	forgot time.Time // when idle hosts were forgotten last

	careful map[netip.Addr]struct{} // hosts with less than the usual; see Careful
}

// A host is what is remembered of one address.
type host struct {
	packets *rate.Limiter
	dials   *rate.Limiter

	// Guarded by Limiter.mu:
	conns, visits slots
	users         int       // calls that use it
	idle          time.Time // since when users is 0
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
		conns:   slots{free: l.Connections},
		visits:  slots{free: l.Connections / VisitConnections},
		hosts:   map[netip.Addr]*host{},
		careful: map[netip.Addr]struct{}{},
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

// wait takes n tokens. The library refuses at once, with an error of its own,
// what would outlast the context; that is its deadline exceeded.
func wait(ctx context.Context, l *rate.Limiter, n int) error {
	err := l.WaitN(ctx, n)
	if err != nil && ctx.Err() == nil {
		return context.DeadlineExceeded
	}
	return err
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
			conns:   slots{free: l.limits.HostConnections},
			visits:  slots{free: l.hostVisits()},
		}
		l.hosts[a] = h
		if _, less := l.careful[a]; less {
			l.slow(h, true)
		}
	}
	h.users++
	return h
}

func (l *Limiter) drop(h *host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropLocked(h)
}

// dropLocked is drop for who holds l.mu; h may be nil.
func (l *Limiter) dropLocked(h *host) {
	if h == nil {
		return
	}
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
