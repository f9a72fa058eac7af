//go:build integration && linux

package sweepbench

import (
	"net/netip"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/capturetest"
)

// noHalfOpen waits for the connections that a sweep began to be gone: what is
// on its way may take a moment, and Linux repeats a SYN-ACK after a second.
func noHalfOpen(t *testing.T, ns *capturetest.Namespace) {
	t.Helper()
	const patience = 3 * time.Second
	began := time.Now()
	for {
		lines := capturetest.HalfOpen(t, ns)
		if len(lines) == 0 {
			return
		}
		if time.Since(began) > patience {
			t.Errorf("%d connections are half open: %q …", len(lines), lines[:min(len(lines), 3)])
			return
		}
	}
}

const inputDropped = `table inet fw {
chain in { type filter hook input priority -10
meta l4proto { tcp, udp } drop
}
}
`

// What does not belong to a connection that it knows of is dropped, both ways;
// a sensor's conntrack has not seen our SYN, as it passed no hook.
const invalidDropped = `table inet fw {
chain in { type filter hook input priority -10
ct state invalid drop
}
chain out { type filter hook output priority -10
ct state invalid drop
}
}
`

// No connection stays half open at the targets, whichever host firewalls there
// are.
func TestNoHalfOpen(t *testing.T) {
	for _, tt := range []struct{ name, sensor, target string }{
		{"no firewalls", "", ""},
		{"sensor drops invalid", invalidDropped, ""},
		{"sensor drops all", inputDropped, ""},
		{"target drops invalid", "", invalidDropped},
		{"both", inputDropped, invalidDropped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := capturetest.NewPair(t)
			p.Via(t)
			var open []netip.AddrPort
			for _, a := range addrs(netip.MustParsePrefix("198.18.4.0/25")) {
				for _, port := range fewPorts {
					open = append(open, netip.AddrPortFrom(a, port))
				}
			}
			prefixes := []netip.Prefix{capturetest.Targets4}
			capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: prefixes, Open: open})
			for _, fw := range []struct {
				ns    *capturetest.Namespace
				rules string
			}{{p.Sensor, tt.sensor}, {p.Target, tt.target}} {
				if fw.rules != "" {
					fw.ns.NFT(t, fw.rules)
				}
			}
			scope{targets: []netip.Prefix{few4}, ports: fewPorts}.guard(t, p.Far)
			d := discover(t, p.Sensor, sweepSpec{Network: capture.TCP, Prefix: few4, Ports: fewPorts,
				PerSecond: 5000, Linger: time.Minute})
			exact(t, d.result(t), open)
			noHalfOpen(t, p.Target)
		})
	}
}

// RSTs that are lost are sent again when the SYN-ACK comes again.
func TestNoHalfOpenThroughLoss(t *testing.T) {
	p := capturetest.NewPair(t)
	p.Via(t)
	p.Sensor.NFT(t, inputDropped) // the kernel does not help
	var open []netip.AddrPort
	for _, a := range addrs(netip.MustParsePrefix("198.18.4.0/24")) {
		open = append(open, netip.AddrPortFrom(a, 443))
	}
	capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: []netip.Prefix{capturetest.Targets4}, Open: open})
	capturetest.Lose(t, p.Target, 200)
	d := discover(t, p.Sensor, sweepSpec{Network: capture.TCP, Prefix: few4, Ports: []uint16{443},
		PerSecond: 5000, Tries: 12, RetryAfter: 200 * time.Millisecond, Linger: time.Minute})
	exact(t, d.result(t), open)
	// Repeats come after 1, 3 and 7 seconds, and a fifth of the RSTs is lost:
	// of 256 connections one in a thousand times one is left after the third.
	began := time.Now()
	for len(capturetest.HalfOpen(t, p.Target)) > 0 {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d connections are half open", len(capturetest.HalfOpen(t, p.Target)))
		}
		time.Sleep(200 * time.Millisecond)
	}
}
