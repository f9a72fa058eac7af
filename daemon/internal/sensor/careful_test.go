package sensor

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/fragile"
	"sonde/daemon/internal/inventory"
	"sonde/match"
	"sonde/probes"
)

// grants notes who was granted less, and who no more.
type grants []string

func (g *grants) note(a netip.Addr, on bool) { *g = append(*g, fmt.Sprint(a, " ", on)) }

// fragileWorld has 100 open ports, two that ask, and what was granted.
func fragileWorld(t *testing.T) (usual, careful *patient, g *grants, s *store, cfg Config) {
	usual, s, cfg = found(t, 1)
	careful, g = &patient{}, &grants{}
	cfg.Careful, cfg.Watches[0].Careful = g.note, careful
	return usual, careful, g, s, cfg
}

func (p *patient) tell(a *asked, strength probes.Strength, device string) {
	a.done(probes.Observation{Addr: a.ep.Addr, Port: a.ep.Port, Transport: a.ep.Transport, Strength: strength,
		State: probes.Open, Outcome: probes.OutcomeAnswered, Probe: "GetRequest", At: time.Now(),
		Identity: match.Identity{Service: "http", Product: "LaserJet", Device: device}})
}

// TestPrinterIsAskedWithCareAtOnce: as soon as one endpoint says what the host
// is, the visits to all others are ended and made anew with care, and nothing of
// what discovery found is lost. Another host goes on as before.
func TestPrinterIsAskedWithCareAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usual, careful, granted, s, cfg := fragileWorld(t)
		other := netip.MustParseAddr("127.0.0.2")
		cfg.Visits = 200
		cfg.Watches[0].Sweeps[0].Plan = planTo(100, addr, other)
		runFor(t, cfg, 2*time.Minute, map[time.Duration]func(){
			time.Minute: func() {
				if len(usual.all()) != 200 || len(careful.all()) != 0 {
					t.Fatalf("%d visits as usual, %d with care", len(usual.all()), len(careful.all()))
				}
				for _, a := range usual.all() {
					if a.ep.Addr == addr && a.ep.Port == 80 {
						usual.tell(a, probes.Hard, "printer")
					}
				}
			},
			61 * time.Second: func() {
				for _, a := range usual.all() {
					switch {
					case a.ep.Addr == other && a.reason != nil:
						t.Errorf("%v of the other host was ended", a.ep.Port)
					case a.ep.Addr == addr && a.ep.Port != 80 && !errors.Is(a.reason, fragile.ErrRecalled):
						t.Errorf("port %d was not ended: %v", a.ep.Port, a.reason)
					case a.ep.Addr == other:
						usual.end(a, probes.OutcomeAnswered, "syn-ack")
					}
				}
				if len(careful.all()) != 99 {
					t.Fatalf("%d visits with care, want 99", len(careful.all()))
				}
				if len(s.passes) != 0 {
					t.Error("the sweep is complete before all was visited")
				}
				for _, a := range careful.all() {
					careful.end(a, probes.OutcomeAnswered, "syn-ack")
				}
			},
		})
		if s.applied != 200 || len(s.passes) != 1 {
			t.Errorf("%d results stored, %d passes", s.applied, len(s.passes))
		}
		if d := cmp.Diff(grants{"127.0.0.1 true"}, *granted); d != "" {
			t.Errorf("granted:\n%s", d)
		}
	})
}

// TestIdentityThatWasThereCounts: a visit that has its identity when it is
// recalled is not made twice.
func TestIdentityThatWasThereCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usual, careful, _, s, cfg := fragileWorld(t)
		usual.ending = time.Hour // hears of it late
		runFor(t, cfg, 2*time.Minute, map[time.Duration]func(){
			time.Minute: func() {
				usual.tell(usual.all()[0], probes.Hard, "printer")
			},
			61 * time.Second: func() {
				for i, a := range usual.all()[1:] {
					strength := probes.Hard
					if i%2 == 0 {
						strength = probes.Soft
					}
					usual.tell(a, strength, "")
				}
			},
			62 * time.Second: func() {
				if len(careful.all()) != 50 {
					t.Errorf("%d visits made anew, want the 50 without an identity", len(careful.all()))
				}
				if s.applied != 50 {
					t.Errorf("%d results stored, want 50", s.applied)
				}
			},
		})
	})
}

// TestCareOutlivesRestart: what the inventory knows is enough.
func TestCareOutlivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usual, careful, granted, s, cfg := fragileWorld(t)
		for _, e := range []struct {
			port   uint16
			device string
		}{{22, ""}, {80, "printer"}, {443, ""}} {
			s.endpoints[keyOf(e.port)] = inventory.Endpoint{Key: keyOf(e.port), Watch: "lan",
				Status: inventory.Present, LastVisited: time.Now().Add(-verifyEvery),
				Current: probes.Observation{Strength: probes.Hard, Identity: match.Identity{Device: e.device}}}
		}
		s.passes = []inventory.Pass{doneAt(time.Now())}
		runFor(t, cfg, time.Minute, nil)
		if len(usual.all()) != 0 || len(careful.all()) != 3 {
			t.Errorf("%d visits as usual, %d with care; want 0 and 3", len(usual.all()), len(careful.all()))
		}
		if d := cmp.Diff(grants{"127.0.0.1 true"}, *granted); d != "" {
			t.Errorf("granted:\n%s", d)
		}
	})
}

// TestHowLongCareLasts: as long as an endpoint says so, some time after it is
// gone, and no longer when it is confirmed to be something else.
func TestHowLongCareLasts(t *testing.T) {
	printer := probes.Observation{Strength: probes.Hard, Identity: match.Identity{Service: "http", Device: "printer"}}
	laptop := probes.Observation{Strength: probes.Hard, Identity: match.Identity{Service: "http"}}
	silent := probes.Observation{Outcome: probes.OutcomeSilent, Strength: probes.Unmatched}
	present, gone := inventory.Standing{Status: inventory.Present}, inventory.Standing{Status: inventory.Gone}
	pending := inventory.Standing{Status: inventory.Present, Next: inventory.Next{At: time.Unix(1, 0)}}
	type step struct {
		after time.Duration
		port  uint16
		o     probes.Observation
		then  inventory.Standing
		want  bool
	}
	for name, steps := range map[string][]step{
		"while it is there": {{0, 80, printer, present, true}, {90 * 24 * time.Hour, 80, silent, present, true}},
		"of other endpoints": {{0, 80, printer, present, true}, {time.Hour, 22, laptop, present, true},
			{time.Hour, 22, silent, gone, true}},
		"while it is being confirmed": {{0, 80, printer, present, true}, {time.Hour, 80, laptop, pending, true},
			{time.Minute, 80, laptop, present, false}},
		"a week after it is gone": {{0, 80, printer, present, true}, {time.Hour, 80, silent, gone, true},
			{carefulFor - time.Second, 80, silent, gone, true}, {time.Second, 22, laptop, present, false}},
		"anew when it is back": {{0, 80, printer, present, true}, {time.Hour, 80, silent, gone, true},
			{carefulFor / 2, 80, printer, present, true}, {carefulFor, 22, laptop, present, true}},
		"with another that says so": {{0, 80, printer, present, true}, {0, 443, printer, present, true},
			{time.Hour, 80, laptop, present, true}, {time.Hour, 443, laptop, present, false}},
		"never of others": {{0, 22, laptop, present, false}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			_, _, granted, _, cfg := fragileWorld(t)
			cfg.Now = func() time.Time { return now }
			s := New(cfg)
			for i, st := range steps {
				now = now.Add(st.after)
				s.weigh(keyOf(st.port), &st.o, st.then)
				if got := s.careful(hostOf(keyOf(st.port))); got != st.want {
					t.Fatalf("step %d: %v", i, got)
				}
			}
			last := steps[len(steps)-1]
			want := grants{fmt.Sprint(addr, " true")}
			if !last.want {
				want = append(want, fmt.Sprint(addr, " false"))
			}
			if !steps[0].want {
				want = nil
			}
			if d := cmp.Diff(want, append(grants(nil), *granted...)); d != "" {
				t.Errorf("granted:\n%s", d)
			}
			if _, held := s.fragile[hostOf(keyOf(80))]; held != last.want {
				t.Errorf("held in memory: %v", held)
			}
		})
	}
}
