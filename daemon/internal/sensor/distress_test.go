package sensor

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// distressed is a host with three known services, of which one kills it.
func distressed(t *testing.T) (*world, *store, Config) {
	w := newWorld(t, 22, 80, 23)
	w.fragile = 23
	s := newStore(w)
	for _, p := range []uint16{22, 80, 23} {
		s.endpoints[keyOf(p)] = inventory.Endpoint{Key: keyOf(p), Watch: "lan",
			Status: inventory.Present, LastVisited: time.Now().Add(-verifyEvery)}
	}
	s.passes = []inventory.Pass{doneAt(time.Now())}
	cfg := configOf(w, s)
	cfg.Quarantine = time.Hour
	return w, s, cfg
}

func hostEvents(s *store) (out []string) {
	for _, a := range s.told() {
		if strings.HasPrefix(a, "host.") {
			out = append(out, a)
		}
	}
	return out
}

// TestDistress: a host that is silent as a whole since it was asked is told,
// left alone for the quarantine, and told again when it is back.
func TestDistress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := distressed(t)
		var visits, sweeps int
		var told time.Time
		runFor(t, cfg, 90*time.Minute, map[time.Duration]func(){
			5 * time.Minute: func() {
				if got := hostEvents(s); !slices.Equal(got, []string{"host.distress"}) {
					t.Fatalf("told %v after five minutes", got)
				}
				at := slices.IndexFunc(s.events, func(e event.Event) bool { return e.Action == event.HostDistress })
				e := s.events[at]
				told = e.Timestamp
				if e.Endpoint.Port != 23 || !strings.Contains(e.Message, "GetRequest") {
					t.Errorf("event names port %d: %s", e.Endpoint.Port, e.Message)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				visits, sweeps = len(w.visits), len(w.sweeps)
				w.fragile = 0
			},
			55 * time.Minute: func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(w.visits) != visits {
					t.Errorf("%d visits in quarantine", len(w.visits)-visits)
				}
				for _, n := range w.swept[sweeps:] {
					if n != 0 {
						t.Errorf("a sweep in quarantine tried %d targets", n)
					}
				}
				w.dead = false
			},
		})
		if got := hostEvents(s); !slices.Equal(got, []string{"host.distress", "host.recovered"}) {
			t.Errorf("told %v", got)
		}
		for _, v := range w.visits[visits:] {
			if v.at.Before(told.Add(time.Hour)) {
				t.Errorf("visited after %v", v.at.Sub(told))
			}
		}
		if len(w.visits) < visits+3 {
			t.Errorf("%d visits after the quarantine", len(w.visits)-visits)
		}
	})
}

// TestSilentServiceIsNoDistress: a service that does not answer any more, on a
// host that does, is looked at and not told.
func TestSilentServiceIsNoDistress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := distressed(t)
		w.fragile = 0
		w.outcome[23] = probes.OutcomeSilent
		runFor(t, cfg, time.Hour, nil)
		if got := hostEvents(s); len(got) != 0 {
			t.Errorf("told %v", got)
		}
		if n := len(w.visitsOf(22)); n < 10 {
			t.Errorf("port 22 visited %d times in an hour", n)
		}
	})
}

// TestQuarantineOutlivesRestart: a new process leaves the host alone as well.
func TestQuarantineOutlivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := distressed(t)
		runFor(t, cfg, 5*time.Minute, nil)
		visits := len(w.visits)
		runFor(t, cfg, 50*time.Minute, nil)
		if len(w.visits) != visits {
			t.Errorf("%d visits in quarantine", len(w.visits)-visits)
		}
		if got := hostEvents(s); !slices.Equal(got, []string{"host.distress"}) {
			t.Errorf("told %v", got)
		}
	})
}
