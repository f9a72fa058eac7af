//go:build integration && linux

package sweepbench

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/capturetest"
)

// What a sweep has to stand.
const (
	floodFor  = 60 * time.Second
	floodRate = 200_000

	floodRounds = 12 // of the sweep: four seconds each
)

// maxRSS bounds the memory of the process that sweeps under a flood: its ring
// of 32 MiB and room for the rest.
const maxRSS = 128 // MiB

// peakRSS is the most memory that a process has had, in MiB.
func peakRSS(t *testing.T, pid int) (mib int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}

// Under a flood of SYN-ACKs that nobody asked for, of the very addresses that
// are swept, sweeps go on: all open ports are found, none is invented, and
// memory stays bounded.
func TestFlood(t *testing.T) {
	p := capturetest.NewPair(t)
	p.Via(t)
	open := pick(capturetest.Targets4, []uint16{443})
	capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: []netip.Prefix{capturetest.Targets4}, Open: open})
	p.Sensor.NFT(t, inputDropped) // the kernel's own RSTs would cost more than the sweep
	scope{targets: []netip.Prefix{capturetest.Targets4}, ports: []uint16{443}}.guard(t, p.Far)
	f := capturetest.Flood{From: capturetest.Targets4, To: capturetest.Sensor4, Low: 61000, High: 61063,
		PerSecond: floodRate, For: floodFor}
	flooding := f.Start(t, p.Far, p.Near)
	// One process, so that what it gathers in the whole time is seen.
	d := discover(t, p.Sensor, sweepSpec{Network: capture.TCP, Prefix: capturetest.Targets4, Ports: []uint16{443},
		PerSecond: 20_000, Tries: 4, RetryAfter: 500 * time.Millisecond, Linger: time.Minute, Rounds: floodRounds})
	var told uint64
	for i := range floodRounds {
		r := d.result(t)
		exact(t, r, open)
		if r.Stats.Degraded {
			t.Errorf("round %d: %+v", i, r.Stats)
		}
		told += r.Stats.Spoofed
		t.Logf("round %d: %v, %d MiB, %+v", i, r.Took, peakRSS(t, d.PID()), r.Stats)
	}
	var stats capturetest.FloodStats
	if !flooding.Next(t, &stats, 2*floodFor) {
		t.Fatal("no flood")
	}
	mib := peakRSS(t, d.PID()) // it lingers, and still gets the flood
	t.Logf("%d spoofed told apart, %d MiB, flood %.0f packets/s for %v", told, mib, stats.PerSecond(), stats.Took)
	if mib > maxRSS || told == 0 || stats.PerSecond() < 0.9*floodRate {
		t.Errorf("%d MiB, at most %d may be; %d spoofed, flood %+v", mib, maxRSS, told, stats)
	}
}
