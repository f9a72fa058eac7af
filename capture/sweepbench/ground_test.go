//go:build bench && linux

package sweepbench

import (
	"net/netip"
	"testing"
	"time"

	"sonde/capture/capturetest"
)

// benchPorts of each of the 65,536 addresses are swept: a million packets, some
// seconds.
const benchPorts = 16

// firstPort is the first of them.
const firstPort = 8000

// A ground is one veth pair with 65,536 addresses at its far end, of whose
// pairs three in a thousand are open; or all are silent.
type ground struct {
	*capturetest.Pair
	responder capturetest.Responder
	silent    bool
}

func newGround(t *testing.T, silent bool) *ground {
	t.Helper()
	g := &ground{Pair: capturetest.NewPair(t), silent: silent,
		responder: capturetest.Responder{Prefix: capturetest.Targets4, OpenPerMille: 3}}
	g.Via(t)
	if silent {
		capturetest.Blackhole(t, g.Far, capturetest.Targets4)
		return g
	}
	// The kernel's stack answers in the sender's own time, so that nobody is
	// faster than the hosts are; a responder of its own process lost a quarter.
	hosts := capturetest.Hosts{Prefixes: []netip.Prefix{capturetest.Targets4}}
	for ap := range g.open(portList(benchPorts)) {
		hosts.Open = append(hosts.Open, ap)
	}
	capturetest.Serve(t, g.Target, hosts)
	capturetest.RefuseEarly(t, g.Far, hosts)
	return g
}

// open are the pairs that a sweep of the ports is to find.
func (g *ground) open(ports []uint16) map[netip.AddrPort]bool {
	want := map[netip.AddrPort]bool{}
	if g.silent {
		return want
	}
	for a := g.responder.Prefix.Addr(); g.responder.Prefix.Contains(a); a = a.Next() {
		for _, p := range ports {
			if g.responder.Open(a, p) {
				want[netip.AddrPortFrom(a, p)] = true
			}
		}
	}
	return want
}

func portList(n int) (ports []uint16) {
	for i := range n {
		ports = append(ports, uint16(firstPort+i))
	}
	return ports
}

// A result is what one scanner did in one run.
type result struct {
	packets uint64
	took    time.Duration
	found   float64 // the share of the open pairs, 1 is all
	wrong   int     // found, but not open
	cpu     time.Duration
}

func (r result) perSecond() float64 { return float64(r.packets) / r.took.Seconds() }

// perPacket is the CPU time of one packet in nanoseconds.
func (r result) perPacket() float64 { return float64(r.cpu) / float64(r.packets) }

// grade sets what of the open pairs was found.
func (r *result) grade(want map[netip.AddrPort]bool, got []netip.AddrPort) {
	seen := map[netip.AddrPort]bool{}
	for _, ap := range got {
		if !want[ap] {
			r.wrong++
			continue
		}
		seen[ap] = true
	}
	r.found = 1
	if len(want) > 0 {
		r.found = float64(len(seen)) / float64(len(want))
	}
}
