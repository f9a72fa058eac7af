package sensor

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// present makes a port known that was visited at last.
func (s *store) present(port uint16, last time.Time) {
	s.w.set(port, "1.0")
	e := inventory.Endpoint{Key: keyOf(port), Watch: "lan", Status: inventory.Present,
		FirstSeen: last, LastSeen: last, LastVisited: last, LastVerified: last}
	e.Current.Probe, e.Current.Strength, e.Current.Outcome = "NULL", probes.Hard, probes.OutcomeAnswered
	e.Current.Service, e.Current.Product, e.Current.Version = "ssh", "X", "1.0"
	s.endpoints[e.Key] = e
}

func (s *store) promises() (out []string) {
	for _, e := range s.events {
		if e.Action == event.WatchOverdue || e.Action == event.WatchRecovered {
			out = append(out, fmt.Sprintf("%s %s", e.Action, e.Reason))
		}
	}
	return out
}

// TestVerifyPromise: visits that take too long break the promise, which is told
// once, and once when it is kept again, over a restart too.
func TestVerifyPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		for p := uint16(1); p <= 40; p++ {
			s.present(p, time.Now())
		}
		s.passes = []inventory.Pass{doneAt(time.Now())}
		cfg := configOf(w, s)
		cfg.Visits = 2
		w.visitTime = time.Minute // 40 visits take 20 minutes
		runFor(t, cfg, 40*time.Minute, nil)
		if got, want := fmt.Sprint(s.promises()), "[watch.overdue verify_every]"; got != want {
			t.Fatalf("told %v, want %v", got, want)
		}
		e := s.events[len(s.events)-1]
		if e.Watch != "lan" || e.Cause != event.CauseSelf || e.Counts["known"] != 40 || e.Counts["overdue"] == 0 ||
			e.Counts["every_s"] != 300 || e.Counts["age_s"] < 300 {
			t.Errorf("told with %+v", e)
		}
		w.visitTime = time.Second
		runFor(t, cfg, 40*time.Minute, nil)
		if got, want := fmt.Sprint(s.promises()), "[watch.overdue verify_every watch.recovered verify_every]"; got != want {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

func TestDiscoverPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		w.degraded = true
		runFor(t, configOf(w, s), 4*time.Hour, map[time.Duration]func(){
			2 * time.Hour: func() { w.mu.Lock(); defer w.mu.Unlock(); w.degraded = false },
		})
		want := "[watch.overdue discover_every watch.recovered discover_every]"
		if got := fmt.Sprint(s.promises()); got != want {
			t.Errorf("told %v, want %v", got, want)
		}
		if m := s.events[0].Message; m != "watch lan: no sweep was ever complete, discover_every = 10m0s is promised" {
			t.Errorf("message %q", m)
		}
	})
}

// TestRestartAfterLongStop: all is overdue, and neither asked at once nor told
// to be: the gap of the start says it.
func TestRestartAfterLongStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		for p := uint16(1); p <= 100; p++ {
			s.present(p, time.Now().Add(-48*time.Hour))
		}
		s.passes = []inventory.Pass{doneAt(time.Now())}
		begun := time.Now()
		w.visitTime = time.Millisecond
		runFor(t, configOf(w, s), 10*time.Minute-time.Second, nil)
		perTen := map[time.Duration]int{}
		for _, v := range w.visits {
			perTen[v.at.Sub(begun).Truncate(10*time.Second)]++
		}
		for at, n := range perTen {
			if n > 4*100*10/227+4 {
				t.Errorf("%d visits in the ten seconds after %v, usual are %d", n, at, 100*10/227)
			}
		}
		if got := s.promises(); len(got) != 0 {
			t.Errorf("told %v", got)
		}
	})
}

// TestWallClockIsSet: what is due stays due, and the promises hold.
func TestWallClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			s := newStore(w)
			for p := uint16(1); p <= 20; p++ {
				s.present(p, time.Now())
			}
			var ahead atomic.Int64
			cfg := configOf(w, s)
			var logged strings.Builder
			cfg.Log = slog.New(slog.NewTextHandler(&logged, nil))
			begun := time.Now()
			cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			cfg.Elapsed = func() time.Duration { return time.Since(begun) }
			runFor(t, cfg, 2*time.Hour, map[time.Duration]func(){
				47 * time.Minute: func() { ahead.Store(int64(by)) },
			})
			for p := uint16(1); p <= 20; p++ {
				last, visits := begun, w.visitsOf(p)
				for _, at := range visits {
					if gap := at.Sub(last); gap > verifyEvery {
						t.Fatalf("clock set by %v: port %d was asked %v after the last time", by, p, gap)
					}
					last = at
				}
				if n := len(visits); n > 40 {
					t.Errorf("clock set by %v: port %d was asked %d times", by, p, n)
				}
			}
			if n := len(w.sweeps); n < 12 || n > 13 {
				t.Errorf("clock set by %v: %d sweeps in two hours", by, n)
			}
			if got := s.promises(); len(got) != 0 {
				t.Errorf("clock set by %v: told %v", by, got)
			}
			if !strings.Contains(logged.String(), "the clock was set") {
				t.Errorf("nothing of it is logged: %s", logged.String())
			}
		})
	}
}

// TestMachineSleeps: what was under way is begun anew, a sweep under way proves
// nothing, and what became overdue is made up one by one.
func TestMachineSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		for p := uint16(1); p <= 100; p++ {
			s.present(p, time.Now())
		}
		var slept atomic.Int64
		cfg := configOf(w, s)
		begun := time.Now()
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
		cfg.Elapsed = func() time.Duration { return time.Since(begun) + time.Duration(slept.Load()) }
		fell := 10*time.Minute + sweepTakes/2 // in the middle of the second sweep
		runFor(t, cfg, 20*time.Minute, map[time.Duration]func(){
			fell: func() { slept.Store(int64(8 * time.Hour)) },
		})
		perTen := map[time.Duration]int{}
		for _, v := range w.visits {
			if after := v.at.Sub(begun) - fell; after > 0 {
				perTen[after.Truncate(10*time.Second)]++
			}
		}
		for at, n := range perTen {
			if n > 4*100*10/227+4 {
				t.Errorf("%d visits in the ten seconds %v after it woke, usual are %d", n, at, 100*10/227)
			}
		}
		if len(s.degraded) != 1 {
			t.Errorf("%d degraded sweeps, want that in which the machine slept", len(s.degraded))
		}
		if len(s.passes) != 2 {
			t.Errorf("%d complete sweeps, want the first and the one made again", len(s.passes))
		}
		if got := s.promises(); len(got) != 0 {
			t.Errorf("told %v", got)
		}
	})
}

// TestRefusalsSlowVisits: who refuses us is asked less often, and is not
// overdue for that.
func TestRefusalsSlowVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		s.present(22, time.Now())
		s.passes = []inventory.Pass{doneAt(time.Now())}
		w.outcome[22] = probes.OutcomeBlocked
		runFor(t, configOf(w, s), 10*time.Hour, map[time.Duration]func(){
			9 * time.Hour: func() { w.mu.Lock(); defer w.mu.Unlock(); delete(w.outcome, 22) },
		})
		visits := w.visitsOf(22)
		if then := visits[6].Sub(visits[5]); then < 6*verifyEvery || then > 8*verifyEvery {
			t.Errorf("asked again after %v", then)
		}
		last := visits[len(visits)-1].Sub(visits[len(visits)-2])
		if last > verifyEvery {
			t.Errorf("asked after %v although it answers", last)
		}
		if got := s.promises(); len(got) != 0 {
			t.Errorf("told %v", got)
		}
	})
}
