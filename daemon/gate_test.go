package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sonde/capture"
	"sonde/config"
	"sonde/probes"
)

// drawWatches makes the text of up to four random watches around 10.0.0.0/24.
func drawWatches(rng *rand.Rand) string {
	run := func() string {
		a := rng.IntN(256)
		return fmt.Sprintf("10.0.0.%d-%d", a, min(255, a+rng.IntN(40)))
	}
	var text strings.Builder
	for i := range 1 + rng.IntN(4) {
		fmt.Fprintf(&text, "[[watch]]\nname='w%d'\nzone='z%d'\ntargets=['%s','%s']\nexclude=['%s']\ntcp_ports='%d-%d'\nudp_ports='%d'\n",
			i, rng.IntN(2), run(), run(), run(), 1+rng.IntN(3), 3+rng.IntN(3), 1+rng.IntN(5))
	}
	return text.String()
}

// TestPlansAreTheScope: whatever the configuration, the sweeps of all watches
// together ask each endpoint that the gate permits, for the watch that it
// belongs to, and no other; and nothing that is excluded.
func TestPlansAreTheScope(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	db := mustDatabase(t, "Probe TCP NULL q||\n")
	good := 0
	for range 100 {
		text := drawWatches(rng)
		cfg, err := config.Parse([]config.Source{{Name: "t", Data: []byte(text)}}, nil)
		if err != nil {
			continue // two watches contend
		}
		good++
		gate := cfg.Gate()
		asked := map[string]bool{}
		for i := range cfg.Watches {
			w := &cfg.Watches[i]
			sw, err := newWatch(cfg, w, method{}, db, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range sw.Sweeps {
				for target := range s.Plan.Targets() {
					a, port := target.Addr.Addr(), target.Addr.Port()
					if !cfg.Allowed(a) || cfg.WatchFor(w.Zone, a) != w || !gate.Permits(target.Network, a, port) ||
						!sw.Contains(a, probes.Transport(target.Network), port) {
						t.Fatalf("watch %s asks %v, which is out of scope\n%s", w.Name, target, text)
					}
					asked[w.Zone+target.Network+target.Addr.String()] = true
				}
			}
		}
		for a := range config.NewAddrSet(mustRange(t, "10.0.0.0/23")).All() {
			for port := range uint16(8) {
				for _, network := range []string{"tcp", "udp"} {
					watches := gate.Watches(network, a, port)
					for _, w := range watches {
						if !asked[w.Zone+network+netip.AddrPortFrom(a, port).String()] {
							t.Fatalf("no sweep asks %s %v port %d of %s\n%s", network, a, port, w.Name, text)
						}
					}
				}
			}
		}
	}
	if good < 20 {
		t.Errorf("only %d of 100 draws were valid", good)
	}
}

// everything is discovery that sends whatever it is told to.
type everything struct{ sent []netip.AddrPort }

func (e *everything) Sweep(_ context.Context, p capture.Plan, _ func(capture.Reply)) (capture.Stats, error) {
	for t := range p.Targets() {
		e.sent = append(e.sent, t.Addr)
	}
	return capture.Stats{}, nil
}

func (e *everything) Look(_ context.Context, targets iter.Seq[capture.Target], _ func(capture.Reply)) (capture.Stats, error) {
	for t := range targets {
		e.sent = append(e.sent, t.Addr)
	}
	return capture.Stats{}, nil
}

// TestNothingLeavesTheScope: even where discovery is told to ask what is out of
// the scope, or excluded, it does not, and that is told.
func TestNothingLeavesTheScope(t *testing.T) {
	cfg := parseConfig(t, "[[watch]]\nname='w'\ntargets=['10.0.0.0/30']\nexclude=['10.0.0.2']\ntcp_ports='22'\nudp_ports=''\n")
	var told bytes.Buffer
	s := scope{cfg.Gate(), slog.New(slog.NewTextHandler(&told, nil))}
	var all everything
	d := s.sweeper(&all)
	wide := capture.Plan{Network: capture.TCP, Ports: []uint16{22},
		Addrs: config.NewAddrSet(mustRange(t, "10.0.0.0/28"))}
	resting := netip.MustParseAddr("10.0.0.3")
	wide.Skip = func(a netip.Addr) bool { return a == resting }
	if _, err := d.Sweep(t.Context(), wide, nil); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all.sent, netip.AddrPort.Compare)
	if got := fmt.Sprint(all.sent); got != "[10.0.0.0:22 10.0.0.1:22]" {
		t.Errorf("a sweep asked %s", got)
	}
	all.sent = nil
	var few []capture.Target
	for _, to := range []string{"10.0.0.1:22", "10.0.0.1:23", "10.0.0.2:22", "10.0.0.9:22", "10.0.0.3:22"} {
		few = append(few, capture.Target{Network: capture.TCP, Addr: netip.MustParseAddrPort(to)})
	}
	if _, err := d.Look(t.Context(), slices.Values(few), nil); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(all.sent); got != "[10.0.0.1:22 10.0.0.3:22]" {
		t.Errorf("a look asked %s", got)
	}
	if n := strings.Count(told.String(), "level=ERROR"); n != 13+3 {
		t.Errorf("told %d times, want once for each that was withheld\n%s", n, &told)
	}
}
