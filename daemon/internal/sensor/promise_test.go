package sensor

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
	"sonde/probes/engine"
)

// TestPromiseHoldsDuringConfirmation: a confirmation that is far away does not
// keep a service from being asked within verify_every.
func TestPromiseHoldsDuringConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		s := newStore(w)
		s.passes = []inventory.Pass{doneAt(time.Now())}
		s.endpoints[keyOf(22)] = inventory.Endpoint{Key: keyOf(22), Watch: "lan",
			Status: inventory.Present, LastVisited: time.Now(),
			Next: inventory.Next{At: time.Now().Add(12 * time.Hour), Why: inventory.ConfirmGone}}
		runFor(t, configOf(w, s), verifyEvery, nil)
		if len(w.visitsOf(22)) == 0 {
			t.Error("not visited within verify_every")
		}
	})
}

func doneAt(at time.Time) inventory.Pass {
	p := scopePass()
	p.Started, p.Done = at, at
	return p
}

func TestRestartSpreadsVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		begun := time.Now()
		for p := uint16(1); p <= 100; p++ {
			w.open[p] = "1.0"
			s.endpoints[keyOf(p)] = inventory.Endpoint{Key: keyOf(p), Watch: "lan",
				Status: inventory.Present, LastVisited: begun.Add(-time.Minute)}
		}
		s.passes = []inventory.Pass{doneAt(begun.Add(-sweepEvery / 2))}
		runFor(t, configOf(w, s), verifyEvery, nil)
		perSecond := map[time.Duration]int{}
		for p := range uint16(100) {
			visits := w.visitsOf(p + 1)
			if len(visits) == 0 {
				t.Fatalf("port %d is not visited", p+1)
			}
			after := visits[0].Sub(begun) + time.Minute
			if after > verifyEvery*8/10+time.Second {
				t.Errorf("port %d visited %v after its last visit", p+1, after)
			}
			perSecond[after.Truncate(time.Second)]++
		}
		if len(perSecond) < 20 {
			t.Errorf("100 visits in %d different seconds", len(perSecond))
		}
		if w.sweeps[0].Sub(begun) != sweepEvery/2 {
			t.Errorf("first sweep after %v, want %v", w.sweeps[0].Sub(begun), sweepEvery/2)
		}
	})
}

func TestOutOfScopeIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		for _, e := range []inventory.Endpoint{
			{Key: keyOf(22), Watch: "lan", Status: inventory.Present},
			{Key: keyOf(80), Watch: "removed", Status: inventory.Present},
			{Key: keyOf(90), Watch: "lan", Status: inventory.Gone},
		} {
			s.endpoints[e.Key] = e
		}
		cfg := configOf(w, s)
		cfg.HeartbeatEvery = time.Minute
		cfg.Watches[0].Contains = func(_ netip.Addr, _ probes.Transport, port uint16) bool { return port != 22 }
		runFor(t, cfg, time.Hour, nil)
		if len(w.visits) != 0 {
			t.Errorf("visited %v", w.visits)
		}
	})
}

func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		s := newStore(w)
		future := time.Now().Add(48 * time.Hour)
		s.endpoints[keyOf(22)] = inventory.Endpoint{Key: keyOf(22), Watch: "lan",
			Status: inventory.Present, LastVisited: future,
			Next: inventory.Next{At: future.Add(time.Minute), Why: inventory.ConfirmChanged}}
		s.passes = []inventory.Pass{doneAt(future)}
		runFor(t, configOf(w, s), sweepEvery+time.Second, nil)
		if n := len(w.visitsOf(22)); n < 2 {
			t.Errorf("%d visits, want one in each verify_every", n)
		}
		if len(w.sweeps) == 0 {
			t.Error("no sweep within discover_every")
		}
	})
}

// TestTimerBeforeItsTime: a timer that fires when the clock of the schedule
// is not there yet is set again, and nothing is left out.
func TestTimerBeforeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		s := newStore(w)
		cfg := configOf(w, s)
		var back atomic.Int64
		cfg.Now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		runFor(t, cfg, time.Hour, map[time.Duration]func(){
			2 * time.Minute: func() { back.Store(int64(100 * time.Millisecond)) },
		})
		if n := len(w.visitsOf(22)); n < 12 {
			t.Errorf("%d visits in an hour", n)
		}
	})
}

func TestDegradedSweepIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		w.degraded = true
		s := newStore(w)
		runFor(t, configOf(w, s), 2*time.Hour, map[time.Duration]func(){
			time.Hour: func() { w.mu.Lock(); w.degraded = false; w.mu.Unlock() },
		})
		for i := 1; i < len(w.sweeps); i++ {
			gap := w.sweeps[i].Sub(w.sweeps[i-1]) - sweepTakes
			if i == 1 && gap > retryAfter+time.Second {
				t.Errorf("first made again after %v, want %v", gap, retryAfter)
			}
			if gap > sweepEvery {
				t.Errorf("sweep %d comes after %v", i, gap)
			}
		}
		if n := len(w.sweeps); n > 20 {
			t.Errorf("%d sweeps in 2 hours: they never became rarer", n)
		}
		if len(s.passes) == 0 || s.passes[0].Started.Before(w.sweeps[0].Add(time.Hour)) {
			t.Errorf("passes %v, want the first after the sweeps were whole again", s.passes)
		}
		if len(s.degraded) == 0 {
			t.Error("no degraded pass came to the inventory")
		}
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22, 80)
		s := newStore(w)
		cfg := configOf(w, s)
		cfg.HeartbeatEvery = 20 * time.Minute
		cfg.Sockets = func() engine.Stats {
			return engine.Stats{Open: 7, Waiting: 3, Limit: 100, Capacity: 50, Files: 1, Ports: 2,
				Buffers: 1 << 40, Foreign: 4}
		}
		silent := func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.outcome[80] = probes.OutcomeBlocked
		}
		runFor(t, cfg, 41*time.Minute, map[time.Duration]func(){10 * time.Minute: silent})
		var beats []event.Event
		for _, e := range s.events {
			if e.Action == event.SensorHeartbeat {
				beats = append(beats, e)
			}
		}
		if len(beats) != 2 {
			t.Fatalf("%d heartbeats in 41 minutes, want 2", len(beats))
		}
		got := beats[1].Counts
		if got["visits.answered"] < 10 || got["visits.blocked"] < 2 { // which slows them down
			t.Errorf("%d visits answered, %d blocked", got["visits.answered"], got["visits.blocked"])
		}
		delete(got, "visits.answered") // the due times differ by a random seed
		delete(got, "visits.blocked")
		want := map[string]int{"known": 2, "fresh": 1, "overdue": 0, "lan.known": 2, "lan.fresh": 1,
			"lan.overdue": 0, "lan.unstable": 0, "lan.quarantined": 0, "lan.held": 0, "lan.blocked": 1, "lan.sweep_age_s": 600, "quarantined": 0, "careful": 0,
			"sockets.open": 7, "sockets.waiting": 3, "sockets.limit": 100, "sockets.capacity": 50,
			"sockets.no_files": 1, "sockets.no_ports": 2, "sockets.no_buffers": 1<<31 - 1, "sockets.foreign": 4}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("counts:\n%s", d)
		}
	})
}

func TestBeatAndAliveUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for p := uint16(1); p <= 100; p++ {
			w.open[p] = "1.0"
		}
		w.visitTime = 10 * time.Millisecond
		s := newStore(w)
		s.applyTakes = 100 * time.Millisecond
		cfg := configOf(w, s)
		cfg.Watches[0].VerifyEvery = 50 * time.Millisecond // more than can be done
		last, worst := time.Now(), time.Duration(0)
		cfg.Beat = func() { worst = max(worst, time.Since(last)); last = time.Now() }
		runFor(t, cfg, 2*time.Minute, nil)
		if worst > 2*time.Second {
			t.Errorf("no beat for %v", worst)
		}
		if len(s.alive) < 11 {
			t.Errorf("%d signs of life in 2 minutes, want 11", len(s.alive))
		}
		if w.most > cfg.Visits {
			t.Errorf("%d visits at once, want at most %d", w.most, cfg.Visits)
		}
	})
}

func TestBeatWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		cfg := configOf(w, s)
		cfg.Watches = nil
		beats := 0
		cfg.Beat = func() { beats++ }
		runFor(t, cfg, time.Minute, nil)
		if beats < 55 {
			t.Errorf("%d beats in a minute", beats)
		}
	})
}

func TestLongSweepDoesNotStopVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.sweepTime = 24 * time.Hour
		s := newStore(w)
		cfg := configOf(w, s)
		runFor(t, cfg, 2*time.Hour, nil)
		if n := len(w.visitsOf(1)); n < 20 {
			t.Errorf("%d visits during the sweep, want one per verify_every", n)
		}
	})
}

func TestFullVisitsDoNotStopSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		w.visitTime = 24 * time.Hour
		s := newStore(w)
		cfg := configOf(w, s)
		cfg.Visits = 2
		other := cfg.Watches[0]
		other.Name = "other"
		other.Sweeps = slices.Clone(other.Sweeps)
		other.Sweeps[0].Pass.Watch = "other"
		other.Sweeps[0].Plan = planTo(0)
		cfg.Watches = append(cfg.Watches, other)
		other.Sweeps[0].Every = time.Minute
		runFor(t, cfg, time.Hour, nil)
		if n := len(s.begun); n < 55 {
			t.Errorf("%d sweeps begun in an hour of hanging visits, want 60", n)
		}
	})
}

// TestManyWatchesFitAHeartbeat: an event may have 200 values.
func TestManyWatchesFitAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		cfg := configOf(w, s)
		cfg.HeartbeatEvery = time.Minute
		cfg.Sockets = func() engine.Stats { return engine.Stats{} }
		for i := range 100 {
			other := cfg.Watches[0]
			other.Name, other.Sweeps = string(rune('a'+i%26))+string(rune('a'+i/26)), nil
			cfg.Watches = append(cfg.Watches, other)
		}
		runFor(t, cfg, 61*time.Second, nil)
		counts := s.events[len(s.events)-1].Counts
		const outcomes, ofEvent, most = 9, 30, 200
		if n := len(counts); n+outcomes+ofEvent > most || n < 100 {
			t.Errorf("%d counts, to which outcomes come", n)
		}
		if counts["watches_left_out"] != 101-maxBeaten {
			t.Errorf("left out %d, want %d", counts["watches_left_out"], 101-maxBeaten)
		}
	})
}
