package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sonde/capture/passive"
	"sonde/config"
	"sonde/probes"
)

// TestSightingsKeepToTheirInterface: what is seen on one interface says nothing of
// a watch by another.
func TestSightingsKeepToTheirInterface(t *testing.T) {
	for _, c := range []struct {
		watch, seen string
		want        bool
	}{{"", "eth1", true}, {"eth1", "eth1", true}, {"eth1", "eth2", false}, {"eth1", "", false}} {
		if got := reaches(&config.Watch{Interface: c.watch}, &passive.Sighting{Interface: c.seen}); got != c.want {
			t.Errorf("a watch by %q takes a sighting on %q: %t", c.watch, c.seen, got)
		}
	}
}

// TestLanes: watches share discovery where permissions and interface are the
// same, each lane has source ports of its own, and too few ports are a mistake.
func TestLanes(t *testing.T) {
	cfg := config.Default()
	cfg.Watches = nil
	for i, by := range []string{"eth2", "", "eth1", "eth2"} {
		cfg.Watches = append(cfg.Watches, config.Watch{Name: fmt.Sprint(i), Interface: by})
	}
	cfg.Watches[3].Held = true
	list := lanesOf(cfg)
	want := []lane{{0, ""}, {0, "eth1"}, {0, "eth2"}, {probes.NeedHeld, "eth2"}}
	if !slices.Equal(list, want) {
		t.Errorf("lanes %v, want %v", list, want)
	}
	ports := config.PortRange{First: 61000, Last: 61000 + 4*leastPorts - 1}
	next := ports.First
	for i := range list {
		r := portsOf(ports, i, len(list))
		if r.First != next || r.Last-r.First+1 < leastPorts {
			t.Errorf("lane %d has the ports %v, which begin at %d", i, r, next)
		}
		next = r.Last + 1
	}
	if err := enoughPorts(ports, len(list)); err != nil {
		t.Error(err)
	}
	if err := enoughPorts(ports, len(list)+1); err == nil || !strings.Contains(err.Error(), "write 10 ports at least") {
		t.Errorf("too few ports: %v", err)
	}
}
