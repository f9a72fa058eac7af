package sensor

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

func TestPassIsDoneWhenAllFindsAreStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22, 80, 100)
		w.visitTime = 20 * time.Second // longer than what is left of the sweep
		s := newStore(w)
		runFor(t, configOf(w, s), time.Minute, nil)
		want := []string{"sweep", "visit 22", "visit 80", "visit 100",
			"stored 22", "stored 80", "stored 100", "pass done"}
		if d := cmp.Diff(want, w.log); d != "" {
			t.Errorf("order of work:\n%s", d)
		}
		if got := s.told(); !slices.Equal(got, []string{"service.baseline", "service.baseline", "service.baseline"}) {
			t.Errorf("told %v, want the baseline", got)
		}
		if len(s.begun) != 1 || !s.begun[0].Started.Equal(s.passes[0].Started) {
			t.Errorf("begun %v, done %v", s.begun, s.passes)
		}
	})
}

// TestSightingDuringVisit: a visit that began before the port opened does not
// pay for what the sweep saw after it.
func TestSightingDuringVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.visitTime = time.Minute
		s := newStore(w)
		s.endpoints[keyOf(50)] = inventory.Endpoint{Key: keyOf(50), Watch: "lan",
			Status: inventory.Gone, Next: inventory.Next{At: time.Now()}}
		runFor(t, configOf(w, s), 10*time.Minute-time.Second, map[time.Duration]func(){
			time.Second: func() { w.set(50, "1.0") }, // before the sweep comes to it
		})
		want := []string{"sweep", "visit 50", "stored 50", "visit 50", "stored 50", "pass done"}
		if len(w.log) < len(want) || !slices.Equal(sorted(w.log[:2]), sorted(want[:2])) ||
			!slices.Equal(w.log[2:len(want)], want[2:]) {
			t.Errorf("order of work %q, want it to begin with %q", w.log, want)
		}
		if n := w.most; n != 1 {
			t.Errorf("%d visits at once, want 1", n)
		}
	})
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func TestFailedStoreRepeatsVisitsAndHoldsThePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22, 80)
		s := newStore(w)
		s.failApply = 2
		runFor(t, configOf(w, s), 2*time.Minute, nil)
		visits := w.visitsOf(22)
		if len(visits) < 2 || visits[1].Sub(visits[0]) < retryAfter {
			t.Fatalf("port 22 visited at %v, want a second time after %v", visits, retryAfter)
		}
		done, stored := slices.Index(w.log, "pass done"), slices.Index(w.log, "stored 22")
		if stored < 0 || done < stored || done < slices.Index(w.log, "stored 80") {
			t.Errorf("order of work %q, want the pass to end after all was stored", w.log)
		}
		if got := s.told(); !slices.Equal(got, []string{"service.baseline", "service.baseline"}) {
			t.Errorf("told %v", got)
		}
	})
}

func TestFailedPassIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		s := newStore(w)
		s.failPass = 1
		runFor(t, configOf(w, s), 2*time.Minute, nil)
		if len(w.sweeps) != 2 || len(s.passes) != 1 {
			t.Fatalf("sweeps at %v, %d done, want two and one", w.sweeps, len(s.passes))
		}
		if gap := w.sweeps[1].Sub(w.sweeps[0]); gap < retryAfter || gap > retryAfter+2*sweepTakes {
			t.Errorf("made again after %v, want about %v", gap, retryAfter)
		}
	})
}

func TestRefusedServiceIsVisitedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		s := newStore(w)
		cfg := configOf(w, s)
		cfg.Watches[0].VerifyEvery = 24 * time.Hour
		runFor(t, cfg, sweepEvery+time.Minute, map[time.Duration]func(){
			time.Minute: func() { w.set(22, "") },
		})
		visits := w.visitsOf(22)
		if len(visits) < 2 {
			t.Fatalf("visits at %v, want one after the sweep that was refused", visits)
		}
		if late := visits[1].Sub(w.sweeps[1]); late > sweepTakes {
			t.Errorf("visited %v after the sweep began", late)
		}
	})
}

func TestGoneIsLeftToDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		s := newStore(w)
		var atGone int
		runFor(t, configOf(w, s), 2*time.Hour, map[time.Duration]func(){
			time.Minute:      func() { w.set(22, "") },
			20 * time.Minute: func() { atGone = len(w.visitsOf(22)) },
			time.Hour:        func() { w.set(22, "2.0") },
		})
		if got := s.told(); !slices.Equal(got, []string{"service.baseline", "service.gone", "service.returned"}) {
			t.Fatalf("told %v", got)
		}
		for _, at := range w.visitsOf(22)[atGone:] {
			if at.Before(w.sweeps[0].Add(time.Hour)) {
				t.Errorf("visited at %v although it was gone", at)
			}
		}
		if e := s.events[2]; !slices.Equal(e.Changed, []string{"version"}) || e.Previous == nil {
			t.Errorf("returned with changed %v", e.Changed)
		}
	})
}

func TestConfirmationsComeWhenAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 80)
		s := newStore(w)
		runFor(t, configOf(w, s), 30*time.Minute, map[time.Duration]func(){
			time.Minute: func() { w.set(22, "1.0") },
		})
		visits := w.visitsOf(22)
		if len(visits) < 2 {
			t.Fatalf("visits at %v", visits)
		}
		// The first visit ends visitTime after it began; spacing counts from there.
		gap := visits[1].Sub(visits[0]) - w.visitTime
		if gap < rules.NewSpacing || gap > rules.NewSpacing+time.Second {
			t.Errorf("confirmed after %v, want %v", gap, rules.NewSpacing)
		}
		if got := s.told(); !slices.Equal(got, []string{"service.baseline", "service.new"}) {
			t.Errorf("told %v", got)
		}
	})
}

func TestContextEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3, 4, 5, 6, 7, 8)
		w.visitTime = time.Hour
		s := newStore(w)
		runFor(t, configOf(w, s), sweepTakes/2, nil) // in the middle of the sweep and all visits
		if s.applied != 0 || len(s.passes) != 0 {
			t.Errorf("%d visits and %d passes stored of what was cut short", s.applied, len(s.passes))
		}
	})
}

// TestContextEndStoresWhatWasSeen: results that wait for the batch to fill are
// not lost.
func TestContextEndStoresWhatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.visitTime = time.Second
		s := newStore(w)
		seen := sweepTakes/100 + w.visitTime + batchWait/2
		runFor(t, configOf(w, s), seen, nil)
		if s.applied != 1 {
			t.Errorf("%d visits stored, want 1", s.applied)
		}
	})
}

// TestDiscoveryWaitsForVisits: a sweep over more open ports than may wait does
// not fill memory.
func TestDiscoveryWaitsForVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const ports = 65535
		for p := 1; p <= ports; p++ {
			w.open[uint16(p)] = "1.0"
		}
		w.visitTime = time.Hour
		w.sweepTime = 0
		s := newStore(w)
		cfg := configOf(w, s)
		cfg.Watches[0].Sweeps[0].Plan = planTo(ports, addr, addr.Next())
		ctx, cancel := context.WithCancel(t.Context())
		sensor := New(cfg)
		done := make(chan error, 1)
		go func() { done <- sensor.Run(ctx, func() {}) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := int(w.yielded.Load()); n < owedMost || n > owedMost+cfg.Visits+1 {
			t.Errorf("%d replies taken while nothing was visited, want %d", n, owedMost)
		}
		time.Sleep(24 * time.Hour) // of 240 visits half are finds: discovery goes on
		synctest.Wait()
		if n := w.yielded.Load(); n < owedMost+100 {
			t.Errorf("%d replies taken after a day", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestHeldIsLookedAt: what may not be spoken to is told by discovery alone.
func TestHeldIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 91)
		w.outcome[91], w.outcome[92] = probes.OutcomeHeld, probes.OutcomeHeld
		s := newStore(w)
		runFor(t, configOf(w, s), 2*time.Hour, map[time.Duration]func(){
			time.Minute: func() { w.set(92, "1.0") },
			time.Hour:   func() { w.set(91, "") },
		})
		if got := s.told(); !slices.Equal(got, []string{"service.baseline", "service.new", "service.gone"}) {
			t.Errorf("told %v", got)
		}
		if w.looks == 0 {
			t.Error("it was not looked at")
		}
	})
}

// TestUnsureFindIsKept: a port that a sweep found open is there, even if the
// visit could not tell; the next sweep must not call it new.
func TestUnsureFindIsKept(t *testing.T) {
	for _, o := range []probes.Outcome{probes.OutcomeUnreachable, probes.OutcomeBlocked,
		probes.OutcomeInconclusive, probes.OutcomeUndecided} {
		t.Run(string(o), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 22)
				w.outcome[22] = o
				s := newStore(w)
				runFor(t, configOf(w, s), 30*time.Minute, map[time.Duration]func(){
					5 * time.Minute: func() { w.mu.Lock(); delete(w.outcome, 22); w.mu.Unlock() },
				})
				for _, a := range s.told() {
					if a == "service.new" {
						t.Errorf("told %v", s.told())
					}
				}
				if s.endpoints[keyOf(22)].Current.Version != "1.0" {
					t.Errorf("known as %+v", s.endpoints[keyOf(22)].Current.Identity)
				}
			})
		})
	}
}
