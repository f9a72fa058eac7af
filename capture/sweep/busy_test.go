package sweep

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
)

// A loop that hangs is told, whichever it is: the sender, an emitter, the one who
// sends resets.
func TestBusyWhereALoopHangs(t *testing.T) {
	for _, c := range []struct {
		about string
		pace  Pacer
		flags uint8 // of the packets that hang
	}{
		{"sender", NewRate(1000), frame.FlagSYN},
		{"emitter", unlimited{}, frame.FlagSYN},
		{"resets", unlimited{}, frame.FlagRST},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answer = honest
			var hung atomic.Bool
			s := hardSweeper(t, w, Config{Pace: c.pace}, func(_ *fakeWire, frames [][]byte) (int, error) {
				var p frame.Packet
				if err := p.Decode(frame.Ethernet, frames[0]); err != nil {
					t.Error(err)
				}
				if p.Flags == c.flags && hung.CompareAndSwap(false, true) {
					time.Sleep(time.Minute)
				}
				return 0, nil
			})
			var told atomic.Int64
			time.AfterFunc(30*time.Second, func() { told.Store(int64(s.Busy())) })
			got, _ := collect(t, s, tcpPlan(3000, 80))
			time.Sleep(2 * time.Minute)
			if at := time.Duration(told.Load()); at < 25*time.Second || at > 30*time.Second {
				t.Errorf("%s: busy for %v after 30 s", c.about, at)
			}
			if len(got) != 3000 || s.Busy() != 0 {
				t.Errorf("%s: %d told, busy for %v at the end", c.about, len(got), s.Busy())
			}
			s.Close()
		})
	}
}

// Whatever a sweep waits for, its loops do not hang meanwhile. No time passes in
// here but by waiting, so that none may be counted.
func TestWaitingIsNotBusy(t *testing.T) {
	for _, c := range []struct {
		about string
		cfg   func() Config // made within the bubble, as some hold times
		world func(w *world)
		slow  time.Duration // of who is told, now and then
	}{
		{"the budget", func() Config { return Config{Pace: NewRate(2000)} }, func(*world) {}, 0},
		{"the budget of wide sweeps", func() Config { return Config{Pace: NewRate(wide)} }, func(*world) {}, 0},
		{"the hosts", func() Config { return Config{Hosts: NewHosts(100)} }, func(*world) {}, 0},
		{"the answers", func() Config { return Config{} }, func(w *world) { w.answer = nil }, 0},
		{"the interface", func() Config { return Config{Pace: NewRate(1000)} }, func(w *world) {
			time.AfterFunc(time.Second, func() { w.setDown(true) })
			time.AfterFunc(20*time.Second, func() { w.setDown(false) })
		}, 0},
		{"the router", func() Config { return Config{} }, func(w *world) {
			w.dead = func(netip.Addr) bool { return true }
		}, 0},
		{"who is told", func() Config { return Config{} }, func(w *world) {
			w.onLink, w.dead = true, func(netip.Addr) bool { return true }
		}, 20 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answer = honest
			s := w.sweeper(t, c.cfg())
			c.world(w)
			over, ended := make(chan struct{}), make(chan struct{})
			var most time.Duration
			go func() {
				defer close(ended)
				for {
					select {
					case <-over:
						return
					case <-time.After(7 * time.Millisecond):
						most = max(most, s.Busy())
					}
				}
			}()
			plan := tcpPlan(3100, 80, 81, 82, 83, 84, 85) // more than the inbox holds
			n := 0
			began := time.Now()
			stats, err := s.Sweep(t.Context(), plan, func(capture.Reply) {
				if n++; n == 1 {
					time.Sleep(c.slow)
				}
			})
			close(over)
			<-ended
			if err != nil || stats.Targets != 3100*6 {
				t.Errorf("%s: %+v, %v", c.about, stats, err)
			}
			if took := time.Since(began); most > 0 || took < 20*time.Millisecond {
				t.Errorf("waiting for %s: busy for %v in %v", c.about, most, took)
			}
			s.Close()
		})
	}
}
