package budget

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A toll is what one connection pays to one rate.
type toll struct {
	rate *rate.Limiter
	n    int
}

// A turn is the way of one connection past the rates, one after the other: the
// host's come first, so that who waits for its host takes nothing of what all
// share.
type turn struct {
	lim   *Limiter
	host  *host
	tolls [3]toll
	ready func()

	mu    sync.Mutex // guards what follows; taken before Limiter.mu
	paid  int        // tolls
	held  *rate.Reservation
	timer *time.Timer
	over  bool
}

// Pace asks to begin one more connection to a host, or to send it one more
// datagram, and counts it as ConnPackets packets. If granted is false the time
// has not come, and ready will be called when it has, from another goroutine
// and at most once; it must not block. Cancel ends the wait and gives back what
// it had reserved; it may be called more than once, and after ready. A call of
// ready that is under way then still comes, and means nothing.
//
// It is apart from [Limiter.Connect] so that the wait for a rate need not hold
// a connection.
func (l *Limiter) Pace(to netip.AddrPort, ready func()) (cancel func(), granted bool) {
	h := l.hold(to.Addr())
	if h == nil { // loopback has no rates
		return func() {}, true
	}
	t := &turn{lim: l, host: h, ready: ready,
		tolls: [...]toll{{h.dials, 1}, {h.packets, ConnPackets}, {l.packets, ConnPackets}}}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cancel, t.advance()
}

// advance pays until it has to wait, and reports whether it is through. The
// caller holds t.mu.
func (t *turn) advance() bool {
	t.held = nil
	for t.paid < len(t.tolls) {
		now := time.Now()
		next := t.tolls[t.paid]
		r := next.rate.ReserveN(now, next.n) // never more than the burst
		t.paid++
		if wait := r.DelayFrom(now); wait > 0 {
			t.held = r
			t.timer = time.AfterFunc(wait, t.resume)
			return false
		}
	}
	t.end()
	return true
}

// resume goes on after a wait.
func (t *turn) resume() {
	t.mu.Lock()
	through := !t.over && t.advance()
	t.mu.Unlock()
	if through {
		t.ready()
	}
}

// end gives the host back. The caller holds t.mu.
func (t *turn) end() {
	t.over = true
	t.lim.drop(t.host)
}

func (t *turn) cancel() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.timer.Stop()
	if t.held != nil {
		t.held.Cancel()
	}
	t.end()
}
