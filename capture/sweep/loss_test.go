package sweep

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
)

// during sweeps 20,000 targets at 1,000/s and does something meanwhile; all
// that is open must be found.
func during(t *testing.T, w *world, cfg Config, do func()) ([]Event, capture.Stats) {
	t.Helper()
	var mu sync.Mutex
	var events []Event
	cfg.Notify = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}
	cfg.Pace = NewRate(1000)
	s := w.sweeper(t, cfg)
	p := tcpPlan(20_000, 80)
	done := make(chan struct{})
	var stats capture.Stats
	go func() {
		defer close(done)
		got, st := collect(t, s, p)
		checkOpen(t, p, got)
		stats = st
	}()
	do()
	<-done
	s.Close()
	return events, stats
}

func TestInterfaceDownAndUp(t *testing.T) {
	for _, onLink := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answer, w.onLink = firewalled, onLink
			events, stats := during(t, w, Config{}, func() {
				time.Sleep(5 * time.Second)
				w.setDown(true)
				time.Sleep(20 * time.Second)
				w.setDown(false)
			})
			if stats.Degraded || stats.Unreachable != 0 || stats.Repeated == 0 {
				t.Errorf("on link %v: stats %+v", onLink, stats)
			}
			if len(events) != 2 || !events[0].Lost || events[1].Lost || events[0].Interface != "near" ||
				events[0].Reason != "interface is down" || events[1].At.Sub(events[0].At) < 20*time.Second {
				t.Errorf("on link %v: events %+v", onLink, events)
			}
		})
	}
}

// What stays down is given up, and said.
func TestInterfaceStaysDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = honest
		s := w.sweeper(t, Config{Pace: NewRate(1000), Patience: 30 * time.Second})
		p := tcpPlan(20_000, 80)
		time.AfterFunc(5*time.Second, func() { w.setDown(true) })
		began := time.Now()
		got, stats := collect(t, s, p)
		if !stats.Degraded || stats.NotTried < 14_000 || time.Since(began) > 2*time.Minute {
			t.Errorf("after %s: %+v", time.Since(began), stats)
		}
		reasons := map[string]int{}
		for _, r := range got {
			if r.Kind == capture.Unreachable {
				reasons[r.Reason]++
			}
		}
		if len(reasons) != 1 || reasons["not-tried: no route"] == 0 {
			t.Errorf("reasons %v", reasons)
		}
		s.Close()
	})
}

// A router that fails over to another MAC address costs no target.
func TestRouterMoves(t *testing.T) {
	for _, onLink := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answer, w.onLink = firewalled, onLink
			_, stats := during(t, w, Config{}, func() {
				time.Sleep(5500 * time.Millisecond)
				w.mu.Lock()
				w.mac = [6]byte{2, 9, 9, 9, 9, 9} // nothing tells of it
				w.mu.Unlock()
			})
			if stats.Degraded {
				t.Errorf("on link %v: stats %+v", onLink, stats)
			}
		})
	}
}

// Without a router nothing is tried, after a wait for it; one that goes away
// leaves a sweep that proves nothing.
func TestRouterIsMissing(t *testing.T) {
	for _, after := range []time.Duration{0, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answer = honest
			s := w.sweeper(t, Config{Pace: NewRate(1000), Patience: 10 * time.Second})
			time.AfterFunc(after, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.answer, w.dead = nil, func(netip.Addr) bool { return true }
			})
			time.Sleep(time.Nanosecond)
			began := time.Now()
			got, stats := collect(t, s, tcpPlan(20_000, 80))
			if d := time.Since(began); !stats.Degraded || d < 10*time.Second || d > 3*time.Minute {
				t.Errorf("after %s: took %s, stats %+v", after, d, stats)
			}
			if after == 0 {
				r := got[netip.AddrPortFrom(targets(1).At(0), 80)]
				if stats.NotTried != 20_000 || stats.Tries != 0 || r.Reason != "not-tried: router 198.19.0.2 is not there" {
					t.Errorf("%+v, stats %+v", r, stats)
				}
			}
			s.Close()
		})
	}
}

// What was lost is not below a checkpoint.
func TestNoCheckpointOnceDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer, w.lossy = honest, randomly(0.9, 3)
		s := w.sweeper(t, Config{Pace: NewRate(1000), Tries: 1})
		var marks []uint64
		p := tcpPlan(20_000, 80)
		p.Checkpoint = func(n uint64) { marks = append(marks, n) }
		stats, err := s.Sweep(t.Context(), p, func(capture.Reply) {})
		if err != nil || !stats.Degraded || len(marks) > 0 {
			t.Errorf("checkpoints %v, stats %+v, %v", marks, stats, err)
		}
		s.Close()
	})
}
