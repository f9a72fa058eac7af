package budget

import (
	"net/netip"
	"time"
)

// A sweep of packets sends far more than it waits for, so that it does not wait
// in [Limiter.Packet]: it takes packets ahead and sends them when it is told.

// Take takes n packets from the rate of all, at most Burst, and tells how long
// to wait before they may be sent. They are taken in any case.
func (l *Limiter) Take(n int) (wait time.Duration) {
	now := time.Now()
	return l.packets.ReserveN(now, min(n, l.Burst())).DelayFrom(now)
}

// Burst is how many packets may go at once.
func (l *Limiter) Burst() int { return l.packets.Burst() }

// TakeHost takes one packet to a host and gives 0, or takes none and tells when
// to ask again. It keeps no memory of hosts to which nothing but sweeps speaks:
// it is false for these, and takes nothing. For those to which conversations
// spoke lately, or that are to be asked with care, the rate is one for all.
func (l *Limiter) TakeHost(a netip.Addr) (wait time.Duration, known bool) {
	h := l.holdKnown(a)
	if h == nil {
		return 0, false
	}
	defer l.drop(h)
	now := time.Now()
	r := h.packets.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait, true
}

// chargeMost is how far ahead of its rate a host may be charged.
const chargeMost = 2 * time.Second

// ChargeHost takes one packet to a host in any case, for what must be answered;
// it is false for a host that is charged too far ahead. As with TakeHost, it
// may not know the host.
func (l *Limiter) ChargeHost(a netip.Addr) (ok, known bool) {
	h := l.holdKnown(a)
	if h == nil {
		return false, false
	}
	defer l.drop(h)
	now := time.Now()
	r := h.packets.ReserveN(now, 1)
	if r.DelayFrom(now) > chargeMost {
		r.CancelAt(now)
		return false, true
	}
	return true, true
}

// holdKnown is hold for a host that is remembered, or to be asked with care;
// it is nil for others.
func (l *Limiter) holdKnown(a netip.Addr) *host {
	a = a.Unmap()
	l.mu.Lock()
	h := l.hosts[a]
	_, careful := l.careful[a]
	if h != nil {
		h.users++
	}
	l.mu.Unlock()
	if h == nil && careful {
		return l.hold(a)
	}
	return h
}
