package sweep

import (
	"context"
	"sync"
	"time"
)

// A Pacer is the budget of packets that sweeps share with whatever else sends.
// It is safe for use by any number of goroutines.
type Pacer interface {
	// Take takes n packets, at most Burst, and tells how long to wait before
	// they may be sent. They are taken in any case.
	Take(n int) (wait time.Duration)

	// Burst is how many packets may go at once, at least 1.
	Burst() int
}

// A HostPacer is the budget of packets of each host. It is safe for use by any
// number of goroutines.
type HostPacer interface {
	// Take takes one packet to a host and gives 0, or takes none and tells when
	// to ask again.
	Take(host [16]byte) (wait time.Duration)

	// Charge takes one packet in any case. It is false, and takes nothing, for
	// a host that is too deep in debt.
	Charge(host [16]byte) bool
}

// burstShare and burstMost bound what a Rate lets go at once: the packets of a
// hundredth of a second, at most 4,096 of them. Timers of Go are 1 ms late at
// worst on an idle machine, so that little of the rate is lost to them.
const (
	burstShare = 100
	burstMost  = 4096
)

// A Rate is a Pacer of its own. In each span of time w at most
// rate × w + Burst packets are granted.
type Rate struct {
	interval time.Duration // between two packets
	burst    int

	mu   sync.Mutex // guards next
	next time.Time  // when the packets that were taken are paid for
}

// NewRate makes a Rate of that many packets per second, at least 1.
func NewRate(perSecond int) *Rate {
	perSecond = max(perSecond, 1)
	return &Rate{interval: interval(perSecond),
		burst: min(max(perSecond/burstShare, 1), burstMost)}
}

// interval lies between two packets. It is rounded up: a rate is never
// exceeded.
func interval(perSecond int) time.Duration {
	n := time.Duration(max(perSecond, 1))
	return (time.Second + n - 1) / n
}

// Take is Pacer's.
func (r *Rate) Take(n int) time.Duration {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if full := now.Add(-time.Duration(r.burst) * r.interval); r.next.Before(full) {
		r.next = full
	}
	r.next = r.next.Add(time.Duration(n) * r.interval)
	return max(r.next.Sub(now), 0)
}

// Burst is Pacer's.
func (r *Rate) Burst() int { return r.burst }

// unlimited grants everything.
type unlimited struct{}

func (unlimited) Take(int) time.Duration { return 0 }
func (unlimited) Burst() int             { return burstMost }

// sleep waits, or gives the error of a context that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
