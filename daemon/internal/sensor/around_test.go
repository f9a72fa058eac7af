package sensor

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// newlyFound is a world where a sweep had found nothing, with services that say
// nothing at some ports; every other one of them is called by its port.
func newlyFound(t *testing.T, mute ...uint16) (*world, *store, Config) {
	w := newWorld(t, append(mute, 99)...)
	w.guessed = map[uint16]string{}
	for i, p := range mute {
		w.outcome[p] = probes.OutcomeTCPWrapped
		if i%2 == 1 {
			w.guessed[p] = "what such ports are for"
		}
	}
	s := newStore(w)
	s.passes = []inventory.Pass{doneAt(time.Now().Add(-sweepEvery))}
	cfg := configOf(w, s)
	cfg.Alike = 10
	return w, s, cfg
}

// new gives when ports were told to be new.
func (s *store) new() map[uint16]time.Time {
	at := map[uint16]time.Time{}
	for _, e := range s.events {
		if e.Action == "service.new" {
			at[e.Endpoint.Port] = e.ObservedAt
		}
	}
	return at
}

func upTo(n uint16) (ports []uint16) {
	for p := uint16(1); p <= n; p++ {
		ports = append(ports, p)
	}
	return ports
}

// TestMuteFindIsLookedAround: what says nothing is told soon where few ports of
// its host answer.
func TestMuteFindIsLookedAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := newlyFound(t, 2, 4)
		w.sweepTime = 5 * time.Minute
		runFor(t, cfg, 10*time.Minute, nil)
		for _, port := range []uint16{2, 4, 99} {
			if at := s.new()[port]; at.IsZero() || at.Sub(w.visitsOf(port)[0]) > 2*w.sweepTime {
				t.Errorf("port %d is told at %v", port, at)
			}
		}
		if n := len(w.sweeps); n > 4 {
			t.Errorf("the host was swept %d times", n)
		}
	})
}

// TestCrowdIsVisitedFirst: where more ports answer than may be told one by one,
// none is confirmed before that many were visited. So it is when the sensor is
// started again in between, and when the sweep had asked half of the ports before
// they answered.
func TestCrowdIsVisitedFirst(t *testing.T) {
	for name, cut := range map[string]time.Duration{"one life": 0, "started again": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s, cfg := newlyFound(t, upTo(20)...)
				w.sweepTime = 5 * time.Minute
				for p := range w.open { // answer from the middle of the sweep on
					if p <= 10 {
						delete(w.open, p)
					}
				}
				appear := func() {
					for _, p := range upTo(10) {
						w.set(p, "1.0")
					}
				}
				confirmed := func() bool {
					return slices.ContainsFunc(upTo(20), func(p uint16) bool { return len(w.visitsOf(p)) > 1 })
				}
				if cut > 0 {
					runFor(t, cfg, cut, map[time.Duration]func(){40 * time.Second: appear})
					cfg.Inventory = s
					appear = func() {}
				}
				early := false
				watch := map[time.Duration]func(){40 * time.Second: appear}
				for at := time.Second; at < 20*time.Minute; at += time.Second {
					if at == 40*time.Second {
						continue
					}
					watch[at] = func() {
						early = early || confirmed() && len(s.endpoints) <= cfg.Alike
					}
				}
				runFor(t, cfg, 20*time.Minute, watch)
				if early {
					t.Error("a port was confirmed before the others were visited")
				}
				if len(s.new()) != 21 { // the fake store tells each; the true one tells the host
					t.Errorf("%d told, want all in the end", len(s.new()))
				}
			})
		})
	}
}

// TestLookAroundFails: then the finds are confirmed when the next sweep is due.
func TestLookAroundFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := newlyFound(t, 2)
		w.sweepErr = errors.New("no way")
		runFor(t, cfg, 15*time.Minute, nil)
		at := s.new()[2]
		if after := at.Sub(w.visitsOf(2)[0]); at.IsZero() || after < sweepEvery-time.Minute {
			t.Errorf("told after %v", after)
		}
	})
}

// TestFindIsNotConfirmedOutOfTurn: a visit that somebody wants meanwhile, or that
// another one of the host asks for, confirms nothing.
func TestFindIsNotConfirmedOutOfTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := newlyFound(t, upTo(20)...)
		w.sweepTime = 5 * time.Minute
		sensor := New(cfg)
		var asks sync.WaitGroup
		runThis(t, sensor, 3*time.Minute, map[time.Duration]func(){time.Minute: func() {
			asks.Go(func() {
				if _, err := sensor.Verify(t.Context(), keyOf(2)); err != nil {
					t.Error(err)
				}
			})
		}})
		asks.Wait()
		if at := s.new()[2]; !at.IsZero() || len(w.visitsOf(2)) != 2 {
			t.Errorf("told at %v after %d visits", at, len(w.visitsOf(2)))
		}
	})
}

func TestSpread(t *testing.T) {
	if got := spread(upTo(10), 5); !slices.Equal(got, []uint16{1, 3, 5, 7, 9}) {
		t.Errorf("%v", got)
	}
	if got := spread(upTo(3), 5); !slices.Equal(got, upTo(3)) {
		t.Errorf("%v", got)
	}
	if got := spread(nil, 5); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// TestFirstLookIsLookedAround: what says nothing at a first look, as the ports of
// a watch became more, is no baseline before its host was looked at.
func TestFirstLookIsLookedAround(t *testing.T) {
	for _, n := range []uint16{2, 20} {
		t.Run(strconv.Itoa(int(n)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s, cfg := newlyFound(t, upTo(n)...)
				s.passes = nil
				w.sweepTime = 5 * time.Minute
				early, watch := false, map[time.Duration]func(){}
				for at := time.Second; at < 20*time.Minute; at += time.Second {
					watch[at] = func() {
						early = early || len(s.told()) > 1 && len(s.endpoints) <= min(cfg.Alike, int(n)) // 99 says what it is
					}
				}
				runFor(t, cfg, 20*time.Minute, watch)
				if early {
					t.Error("a port was told before the others were visited")
				}
				told := s.told()
				told = slices.DeleteFunc(told, func(a string) bool { return a != string(event.ServiceBaseline) })
				if len(told) != int(n)+1 { // the fake store tells each; the true one tells the host
					t.Errorf("%d told, want %d", len(told), n+1)
				}
			})
		})
	}
}
