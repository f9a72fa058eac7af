package budget

import (
	"net/netip"

	"golang.org/x/time/rate"
)

// What a host is granted that is known to be fragile, where the usual is not
// less anyway. Ten packets per second are what one client of it causes, and a
// small stack has closed one connection for good (2 MSL of such a stack are
// some seconds) before the next one comes.
const (
	CarefulPackets = 10  // per second
	CarefulDials   = 0.2 // new connections per second: one in 5 s
	CarefulVisits  = 1   // conversations at once
)

// Careful says whether a host is to be granted less from now on: at most
// CarefulPackets, CarefulDials and CarefulVisits. Conversations that run are
// not ended. It is remembered until it is taken back. Loopback has no rates,
// and is not asked more carefully.
func (l *Limiter) Careful(a netip.Addr, on bool) {
	a = a.Unmap()
	l.mu.Lock()
	if _, was := l.careful[a]; was == on {
		l.mu.Unlock()
		return
	}
	if on {
		l.careful[a] = struct{}{}
	} else {
		delete(l.careful, a)
	}
	var ready []func()
	if h := l.hosts[a]; h != nil {
		ready = l.slow(h, on)
	}
	l.mu.Unlock()
	for _, f := range ready {
		f() // without the lock: it may ask for more
	}
}

// slow grants a host less, or the usual again, and gives whom to tell of it.
// The caller holds l.mu.
func (l *Limiter) slow(h *host, on bool) (ready []func()) {
	packets, dials := rate.Limit(l.limits.HostPacketsPerSecond), rate.Limit(l.limits.HostNewConnectionsPerSecond)
	more := max(0, l.hostVisits()-CarefulVisits)
	if on {
		h.packets.SetLimit(min(packets, CarefulPackets))
		h.dials.SetLimit(min(dials, CarefulDials))
		h.visits.free -= more
		return nil
	}
	h.packets.SetLimit(packets)
	h.dials.SetLimit(dials)
	for range more {
		if f := h.visits.give(); f != nil {
			ready = append(ready, f)
		}
	}
	return ready
}

// hostVisits is how many conversations one host has at once.
func (l *Limiter) hostVisits() int { return l.limits.HostConnections / VisitConnections }
