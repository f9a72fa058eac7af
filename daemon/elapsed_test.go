package main

import (
	"net/netip"
	"testing"
	"time"

	"sonde/config"
	"sonde/daemon/internal/schedule"
)

func TestElapsedGoesOn(t *testing.T) {
	first, wall := elapsed(), time.Now()
	for time.Since(wall) < 2*time.Millisecond { // a clock may tick that slowly
	}
	if d := elapsed() - first; d < 2*time.Millisecond || d > time.Minute {
		t.Errorf("%v elapsed in 2 ms", d)
	}
}

// TestPlanCountsTurns: what a configuration is told to cost is what the
// schedule does.
func TestPlanCountsTurns(t *testing.T) {
	for _, every := range []time.Duration{time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 24 * time.Hour} {
		c := config.Default()
		w := &c.Watches[0]
		w.Targets, w.VerifyEvery = []config.Range{config.PrefixRange(netip.MustParsePrefix("198.18.0.0/24"))}, every
		needed := 256 * config.ServicesPerHost / every.Seconds()
		got := c.Cost(w, config.Costing{}).VisitsPerSecond / needed
		if want := schedule.Load(every); got < want*0.999 || got > want*1.001 {
			t.Errorf("%v: planned are %.3f visits for each needed, made %.3f", every, got, want)
		}
	}
}
