//go:build integration && linux

package sweepbench

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/capturetest"
)

// tries of a silent target let loss of 5 % each way miss one of 200 open ports
// once in 6,000 runs: (1 - 0.95²)⁶ × 200.
const tries = 6

// burstOf is what package sweep states that leaves at once beyond a rate: a
// hundredth of a second's packets, and a batch that was built before, half as
// many.
func burstOf(perSecond int) int { return perSecond/100 + perSecond/200 }

// lossy is a /16 with three open ports per thousand addresses that loses so
// many thousandths of the packets each way.
func lossy(t *testing.T, perMille int, silent bool) (p *capturetest.Pair, open []netip.AddrPort) {
	t.Helper()
	p = capturetest.NewPair(t)
	p.Via(t)
	open = pick(capturetest.Targets4, []uint16{443})
	capturetest.Serve(t, p.Target, capturetest.Hosts{
		Prefixes: []netip.Prefix{capturetest.Targets4}, Open: open, Silent: silent})
	capturetest.Lose(t, p.Target, perMille)
	return p, open
}

// Of a /16 every open port is found and none invented, through loss, whether
// the other hosts refuse or are silent.
func TestLoss(t *testing.T) {
	for _, tt := range []struct {
		perMille int
		silent   bool
	}{{10, false}, {10, true}, {50, false}, {50, true}} {
		t.Run(fmt.Sprintf("%d per mille, silent %t", tt.perMille, tt.silent), func(t *testing.T) {
			p, open := lossy(t, tt.perMille, tt.silent)
			scope{targets: []netip.Prefix{capturetest.Targets4}, ports: []uint16{443}}.guard(t, p.Far)
			r := once(t, p.Sensor, sweepSpec{Network: capture.TCP, Prefix: capturetest.Targets4,
				Ports: []uint16{443}, PerSecond: 50_000, Tries: tries, RetryAfter: 300 * time.Millisecond})
			exact(t, r, open)
			if r.Stats.Degraded || !tt.silent && r.Stats.Silent > 0 {
				t.Errorf("%+v", r.Stats)
			}
			t.Logf("%d open of %d, %d packets in %v", len(open), r.Stats.Targets, r.Stats.Sent, r.Took)
		})
	}
}

// At 1,000 packets/s through 5 % loss every open port of a /16 is found, and no
// window of time holds more packets than the rate and the stated burst.
func TestThousandPerSecond(t *testing.T) {
	const perSecond = 1000
	p, open := lossy(t, 50, false)
	p.Sensor.NFT(t, inputDropped) // no RST is the kernel's: each packet is ours
	rec := scope{targets: []netip.Prefix{capturetest.Targets4}, ports: []uint16{443}}.guard(t, p.Far)
	r := once(t, p.Sensor, sweepSpec{Network: capture.TCP, Prefix: capturetest.Targets4,
		Ports: []uint16{443}, PerSecond: perSecond, Tries: tries})
	exact(t, r, open)
	var own []capturetest.Frame
	for _, f := range rec.Received() {
		if f.Proto == capturetest.ProtoTCP {
			own = append(own, f)
		}
	}
	if uint64(len(own)) != r.Stats.Sent {
		t.Errorf("%d packets on the link, %d counted", len(own), r.Stats.Sent)
	}
	for _, window := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second} {
		n, most := capturetest.Busiest(own, window), int(window*perSecond/time.Second)+burstOf(perSecond)
		t.Logf("busiest %v: %d packets", window, n)
		if n > most {
			t.Errorf("busiest %v: %d packets, at most %d may be", window, n, most)
		}
	}
	rate := float64(len(own)) / own[len(own)-1].At.Sub(own[0].At).Seconds()
	t.Logf("%d packets in %v, %.0f/s", len(own), r.Took, rate)
	// The end is rounds of few targets, which wait for answers.
	if n := capturetest.Busiest(own, 10*time.Second); n < 9500 {
		t.Errorf("%d packets in the busiest ten seconds: the budget is not used", n)
	}
}

// No host gets more than its own budget, however fast the sweep is.
func TestHostBudget(t *testing.T) {
	const perHost, burst = 10, 4
	p := capturetest.NewPair(t)
	p.Via(t)
	few := netip.MustParsePrefix("198.18.4.0/28")
	var ports []uint16
	for i := range 40 {
		ports = append(ports, uint16(1000+i))
	}
	open := pick(few, ports)
	capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: []netip.Prefix{capturetest.Targets4},
		Open: append(open, netip.AddrPortFrom(few.Addr(), 1000))})
	p.Sensor.NFT(t, inputDropped)
	rec := scope{targets: []netip.Prefix{few}, ports: ports}.guard(t, p.Far)
	exact(t, once(t, p.Sensor, sweepSpec{Network: capture.TCP, Prefix: few, Ports: ports, PerHost: perHost}),
		append(open, netip.AddrPortFrom(few.Addr(), 1000)))
	hosts := map[netip.Addr][]capturetest.Frame{}
	for _, f := range rec.Received() {
		if f.Proto == capturetest.ProtoTCP {
			hosts[f.Dst] = append(hosts[f.Dst], f)
		}
	}
	if len(hosts) != 16 {
		t.Errorf("%d hosts were asked", len(hosts))
	}
	for a, frames := range hosts {
		// A batch is built ahead of its time, so a packet may be a little late
		// and the next one in time: one more in a window.
		if n := capturetest.Busiest(frames, time.Second); n > perHost+burst+1 {
			t.Errorf("%s got %d packets within a second", a, n)
		}
	}
}
