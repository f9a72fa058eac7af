//go:build integration && linux

package sweepbench

import (
	"net/netip"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/capturetest"
)

// During a sweep of some seconds the network changes, and the sweep ends
// complete, without a restart.
func TestChangesDuringSweep(t *testing.T) {
	const lost, settle = 700 * time.Millisecond, 100 * time.Millisecond
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, p *capturetest.Pair)
		events bool // a loss and a recovery are told
	}{
		{"interface down and up", func(t *testing.T, p *capturetest.Pair) {
			p.Near.Down(t)
			time.Sleep(lost)
			p.Near.Up(t)
			p.Near.In.IP(t, "-6", "address", "replace", capturetest.Sensor6.String()+"/64", "dev", p.Near.Name)
			p.Via(t)
		}, true},
		{"no carrier for a while", func(t *testing.T, p *capturetest.Pair) {
			// The sensor's end stays up without a carrier, as when a cable is
			// drawn, for longer than all tries of a target take.
			p.Far.Down(t)
			time.Sleep(4 * lost)
			p.Far.Up(t)
		}, false},
		{"address changed", func(t *testing.T, p *capturetest.Pair) {
			p.Sensor.IP(t, "address", "del", capturetest.Sensor4.String()+"/24", "dev", p.Near.Name)
			p.Near.Address(t, "198.19.0.9/24")
			p.Via(t)
		}, false},
		{"route changed", func(t *testing.T, p *capturetest.Pair) {
			// The same host by another of its addresses.
			p.Far.Address(t, "198.19.0.7/24")
			p.Sensor.IP(t, "route", "replace", capturetest.Targets4.String(), "via", "198.19.0.7")
			p.Far.In.IP(t, "address", "del", capturetest.Target4.String()+"/24", "dev", p.Far.Name)
			p.Far.In.IP(t, "address", "replace", "198.19.0.7/24", "dev", p.Far.Name)
		}, false},
		{"route gone and back", func(t *testing.T, p *capturetest.Pair) {
			p.Sensor.IP(t, "route", "del", capturetest.Targets4.String())
			time.Sleep(lost)
			p.Via(t)
		}, false},
		{"neighbour's MAC changed", func(t *testing.T, p *capturetest.Pair) {
			p.Far.In.IP(t, "link", "set", p.Far.Name, "address", "02:00:00:00:77:01")
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := capturetest.NewPair(t)
			p.Via(t)
			open := pick(capturetest.Targets4, []uint16{443})
			capturetest.Serve(t, p.Target, capturetest.Hosts{
				Prefixes: []netip.Prefix{capturetest.Targets4}, Open: open})
			rec := scope{targets: []netip.Prefix{capturetest.Targets4}, ports: []uint16{443},
				hops: addrs(netip.MustParsePrefix("198.19.0.0/28"))}.guard(t, p.Far)
			d := discover(t, p.Sensor, sweepSpec{Network: capture.TCP, Prefix: capturetest.Targets4,
				Ports: []uint16{443}, PerSecond: 15_000, Tries: 3, RetryAfter: 500 * time.Millisecond})
			for capturetest.Count(rec.Received())[capturetest.ClassSYN] < 10_000 {
				time.Sleep(settle)
			}
			tt.change(t, p)
			r := d.result(t)
			exact(t, r, open)
			if r.Stats.Silent > 0 || r.Stats.NotTried > 0 || r.Stats.Degraded {
				t.Errorf("%+v %v", r.Stats, r.Reasons)
			}
			var down, up int
			for _, e := range d.events {
				t.Logf("event %+v", e)
				if e.Lost {
					down++
				} else {
					up++
				}
			}
			if down != up || tt.events && down == 0 {
				t.Errorf("%d losses, %d recoveries", down, up)
			}
			t.Logf("%v: %+v", r.Took, r.Stats)
		})
	}
}
