package sensor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// orders is a fake of what operators told.
type orders struct {
	mu       sync.Mutex
	paused   bool
	released map[event.Host]time.Time
}

func (o *orders) set(on bool) { o.mu.Lock(); defer o.mu.Unlock(); o.paused = on }

func (o *orders) PausedBy(string) string { return "uid 1000" }

func (o *orders) Paused(string) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return "audit", o.paused
}

func (o *orders) Released(h event.Host) time.Time { return o.released[h] }

func (o *orders) Release(_ context.Context, h event.Host, _ time.Duration) error {
	o.released[h] = time.Now()
	return nil
}

// nights are from 22:00 to 04:00 UTC.
type nights struct{}

func (nights) At(t time.Time) (bool, time.Time) {
	day := t.Truncate(24 * time.Hour)
	switch h := t.Hour(); {
	case h < 4:
		return true, day.Add(4 * time.Hour)
	case h < 22:
		return false, day.Add(22 * time.Hour)
	default:
		return true, day.Add(28 * time.Hour)
	}
}

// TestActiveHours: nothing is begun outside of them, a sweep that is cut goes
// on where it was, and the promises hold for the time that there is.
func TestActiveHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight
		w := newWorld(t)
		s := newStore(w)
		for p := uint16(1); p <= 50; p++ {
			s.present(p, time.Now())
		}
		w.sweepTime = 5 * time.Hour
		w.visitTime = 10 * time.Second
		cfg := configOf(w, s)
		cfg.Watches[0].Hours = nights{}
		cfg.Watches[0].Sweeps[0].Every = 24 * time.Hour
		cfg.HeartbeatEvery = time.Hour
		begun := time.Now()
		runFor(t, cfg, 4*24*time.Hour, nil)
		perNight := map[int]int{}
		for _, v := range w.visits {
			if on, until := (nights{}).At(v.at); !on || until.Sub(v.at) < closeEarly {
				t.Fatalf("port %d is visited at %v", v.port, v.at)
			}
			perNight[int(v.at.Sub(begun)+2*time.Hour)/int(24*time.Hour)]++
		}
		for night := range 4 {
			if perNight[night] < 50*4*12 {
				t.Errorf("%d visits in night %d", perNight[night], night)
			}
		}
		for _, at := range w.asked {
			if on, _ := (nights{}).At(at); !on {
				t.Fatalf("a sweep asks at %v", at)
			}
		}
		if len(w.sweeps) < 2 || len(s.passes) < 2 || !s.passes[0].Started.Equal(begun) {
			t.Errorf("%d sweeps began and %d were complete", len(w.sweeps), len(s.passes))
		}
		if took := s.passes[0].Done.Sub(begun); took < 22*time.Hour || took > 24*time.Hour {
			t.Errorf("the first sweep took %v, want the first night and a part of the second", took)
		}
		if got := s.promises(); len(got) != 0 {
			t.Errorf("told %v", got)
		}
	})
}

// TestPause: nothing is sent, which is told, and the promises are broken by it;
// over a restart too.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		for p := uint16(1); p <= 50; p++ {
			s.present(p, time.Now())
		}
		s.passes = []inventory.Pass{doneAt(time.Now().Add(-9*time.Minute - 55*time.Second))} // the next one is cut
		o := &orders{}
		cfg := configOf(w, s)
		cfg.Orders = o
		var visits, asked int
		count := func() { visits, asked = len(w.visits), len(w.asked) }
		runFor(t, cfg, 20*time.Minute, map[time.Duration]func(){
			10 * time.Second: func() { o.set(true) },
			13 * time.Second: count,
		})
		if len(w.visits) != visits || len(w.asked) > asked+1 {
			t.Errorf("%d visits and %d packets after the pause", len(w.visits)-visits, len(w.asked)-asked)
		}
		runFor(t, cfg, 80*time.Minute, map[time.Duration]func(){
			20 * time.Minute: func() {
				if len(w.visits) != visits {
					t.Errorf("%d visits after a restart", len(w.visits)-visits)
				}
				o.set(false)
			},
		})
		if got := s.told(); !slices.Contains(got, "sensor.recovered") || got[0] != "sensor.degraded" {
			t.Errorf("told %v", got)
		}
		if got := fmt.Sprint(s.promises()); got != "[watch.overdue verify_every watch.overdue discover_every"+
			" watch.recovered verify_every watch.recovered discover_every]" {
			t.Errorf("told %v", got)
		}
		if len(w.visits) < visits+50*8 {
			t.Errorf("%d visits in an hour after the pause", len(w.visits)-visits)
		}
	})
}

func TestVerifyIsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		for p := uint16(1); p <= 100; p++ {
			s.present(p, time.Now().Add(-time.Hour))
		}
		w.set(200, "2.0")
		s.passes = []inventory.Pass{doneAt(time.Now())}
		w.visitTime = 20 * time.Second
		o := &orders{released: map[event.Host]time.Time{}}
		cfg := configOf(w, s)
		cfg.Orders = o
		cfg.Visits = 2
		cfg.Watches[0].Contains = func(_ netip.Addr, _ probes.Transport, port uint16) bool { return port < 300 }
		sensor := New(cfg)
		var asks sync.WaitGroup
		runThis(t, sensor, 5*time.Minute, map[time.Duration]func(){time.Minute: func() {
			asks.Go(func() {
				begun := time.Now()
				got, err := sensor.Verify(t.Context(), keyOf(200))
				if err != nil || got.Version != "2.0" {
					t.Errorf("%+v, %v", got, err)
				}
				if d := time.Since(begun); d > 41*time.Second {
					t.Errorf("took %v", d)
				}
			})
			asks.Go(func() {
				if _, err := sensor.Verify(t.Context(), keyOf(301)); !errors.Is(err, ErrOutOfScope) {
					t.Errorf("out of scope: %v", err)
				}
			})
			asks.Go(func() {
				p, err := sensor.Next(t.Context(), keyOf(1))
				if err != nil || p.Watch != "lan" || p.Every != verifyEvery || p.Shut != "" {
					t.Errorf("plan %+v, %v", p, err)
				}
				v, err := sensor.Overview(t.Context())
				if err != nil || len(v.Watches) != 1 || v.Watches[0].Known != 100 {
					t.Errorf("overview %+v, %v", v, err)
				}
			})
			asks.Go(func() {
				h := event.Host{Zone: "default", Addr: addr}
				if err := sensor.Release(t.Context(), h); !errors.Is(err, ErrNotResting) {
					t.Errorf("release: %v", err)
				}
			})
		}, 2 * time.Minute: func() {
			asks.Wait()
			o.set(true)
			asks.Go(func() {
				begun := time.Now()
				if err := sensor.Obey(t.Context()); err != nil || time.Since(begun) > 0 {
					t.Errorf("obeys after %v, %v", time.Since(begun), err)
				}
				if v, err := sensor.Overview(t.Context()); err != nil || v.Watches[0].Shut != "paused" {
					t.Errorf("once it obeys: %+v, %v", v, err)
				}
			})
		}, 3 * time.Minute: func() {
			asks.Go(func() {
				if _, err := sensor.Verify(t.Context(), keyOf(1)); !errors.Is(err, ErrShut) {
					t.Errorf("while paused: %v", err)
				}
			})
		}})
		asks.Wait()
		if _, err := sensor.Verify(t.Context(), keyOf(1)); !errors.Is(err, ErrNotRunning) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// TestVerifyTooMany: people who wait are bounded, and none waits for ever.
func TestVerifyTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		s.passes = []inventory.Pass{doneAt(time.Now())}
		w.visitTime = time.Hour
		sensor := New(configOf(w, s))
		var asks sync.WaitGroup
		var mu sync.Mutex
		got := map[error]int{}
		runThis(t, sensor, time.Minute, map[time.Duration]func(){time.Second: func() {
			for p := range uint16(waits + 4) {
				asks.Go(func() {
					_, err := sensor.Verify(t.Context(), keyOf(p+1))
					mu.Lock()
					defer mu.Unlock()
					if got[err]++; errors.Is(err, ErrTooMany) {
						got[ErrTooMany]++
					}
				})
			}
		}})
		asks.Wait()
		if got[ErrTooMany] != 4 || got[ErrNotRunning] != waits {
			t.Errorf("came to %v", got)
		}
	})
}

// TestRelease: a host is asked again at once, and after a restart too.
func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		s.present(22, time.Now())
		s.passes = []inventory.Pass{doneAt(time.Now())}
		h := event.Host{Zone: "default", Addr: addr}
		s.events = []event.Event{{Action: event.HostDistress, Watch: "lan", Zone: "default", Timestamp: time.Now(),
			Endpoint: &probes.Observation{Addr: addr}}}
		o := &orders{released: map[event.Host]time.Time{}}
		cfg := configOf(w, s)
		cfg.Orders, cfg.Quarantine = o, 24*time.Hour
		sensor := New(cfg)
		runThis(t, sensor, 2*time.Hour, map[time.Duration]func(){time.Hour: func() {
			if n := len(w.visits); n != 0 {
				t.Errorf("%d visits of a host that rests", n)
			}
			go func() {
				if err := sensor.Release(t.Context(), h); err != nil {
					t.Error(err)
				}
			}()
		}})
		visits := w.visitsOf(22)
		if len(visits) == 0 || o.released[h].IsZero() || visits[0].Sub(o.released[h]) > time.Second {
			t.Fatalf("released at %v, visited at %v", o.released[h], visits)
		}
		s.events = s.events[:1] // it did not answer
		runFor(t, cfg, time.Hour, nil)
		if n := len(w.visitsOf(22)); n < len(visits)+10 {
			t.Errorf("%d visits in an hour after a restart", n-len(visits))
		}
	})
}
