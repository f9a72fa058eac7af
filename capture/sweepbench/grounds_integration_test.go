//go:build integration && linux

package sweepbench

import (
	"net/netip"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/capturetest"
)

// few4 and few6 are targets that a sweep is through with at once.
var (
	few4     = netip.MustParsePrefix("198.18.4.0/22")
	few6     = netip.MustParsePrefix("2001:db8:18::100/120")
	fewPorts = []uint16{22, 80, 443, 8443}
)

func addrs(p netip.Prefix) (list []netip.Addr) {
	for a := p.Addr(); p.Contains(a); a = a.Next() {
		list = append(list, a)
	}
	return list
}

// some6 gives pairs of IPv6 that are open.
func some6() (open []netip.AddrPort) {
	for i, a := range addrs(few6) {
		if i%29 == 3 {
			open = append(open, netip.AddrPortFrom(a, fewPorts[i%len(fewPorts)]))
		}
	}
	return open
}

// On each kind of ground a sweep finds exactly the open ports, of both
// families, and sends nothing else than it was told to.
func TestGrounds(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T) (p *capturetest.Pair, wire capturetest.Port)
		vlan uint16
	}{
		{"via", func(t *testing.T) (*capturetest.Pair, capturetest.Port) {
			p := capturetest.NewPair(t)
			p.Via(t)
			return p, p.Far
		}, 0},
		{"routed", func(t *testing.T) (*capturetest.Pair, capturetest.Port) {
			r := capturetest.NewRouted(t)
			return &r.Pair, r.Left
		}, 0},
		{"on link", func(t *testing.T) (*capturetest.Pair, capturetest.Port) {
			p := capturetest.NewPair(t)
			p.OnLink(t)
			for _, a := range addrs(few6) {
				p.Far.Address(t, a.String()+"/128")
			}
			return p, p.Far
		}, 0},
		{"VLAN", func(t *testing.T) (*capturetest.Pair, capturetest.Port) {
			p, _, far := capturetest.NewTrunk(t)
			p.Via(t)
			return p, far
		}, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, wire := tt.make(t)
			open4, open6 := pick(few4, fewPorts), some6()
			capturetest.Serve(t, p.Target, capturetest.Hosts{
				Prefixes: []netip.Prefix{capturetest.Targets4, capturetest.Targets6}, Open: append(open6, open4...)})
			s := scope{targets: []netip.Prefix{few4, few6}, ports: fewPorts}
			rec := s.guard(t, wire)
			spec := sweepSpec{Network: capture.TCP, Prefix: few4, Ports: fewPorts, PerSecond: 20_000}
			four := once(t, p.Sensor, spec)
			exact(t, four, open4)
			spec.Addrs = addrs(few6)
			six := once(t, p.Sensor, spec)
			exact(t, six, open6)
			if four.Stats.Degraded || six.Stats.Degraded {
				t.Errorf("degraded: %+v, %+v", four.Stats, six.Stats)
			}
			frames := rec.Received()
			if want := (len(addrs(few4)) + len(addrs(few6))) * len(fewPorts); capturetest.Count(frames)[capturetest.ClassSYN] < want {
				t.Errorf("%d frames, want at least %d SYNs", len(frames), want)
			}
			for i := range frames {
				// The kernel joins groups on the trunk itself, too.
				if frames[i].VLAN != tt.vlan && frames[i].Class() != capturetest.ClassGroups {
					t.Fatalf("tag of %v", &frames[i])
				}
			}
		})
	}
}

// A tun has no Ethernet header, and a point-to-point link no neighbours.
func TestTun(t *testing.T) {
	ns := capturetest.NewNamespace(t)
	d := capturetest.NewTun(t, ns, "tun0", capturetest.Responder{Prefix: few4, OpenPerMille: 3}.AnswerIP)
	d.Address(t, capturetest.Sensor4.String()+"/24")
	ns.IP(t, "route", "add", capturetest.Targets4.String(), "dev", d.Name)
	r := once(t, ns, sweepSpec{Network: capture.TCP, Prefix: few4, Ports: fewPorts, PerSecond: 10_000, Tries: 3})
	exact(t, r, pick(few4, fewPorts))
	s := scope{targets: []netip.Prefix{few4}, ports: fewPorts}
	var own []capturetest.Frame
	for _, f := range d.Received() {
		if f.Class() != capturetest.ClassND { // router solicitations of the kernel
			own = append(own, f)
		}
	}
	s.check(t, own)
}

// Two interfaces lead to the same targets, of which each has others open: a
// sweep takes the one that the kernel would, the lower metric's, and sends nothing
// on the other.
func TestTwoInterfaces(t *testing.T) {
	p := capturetest.NewPair(t)
	p.Via(t)
	other := capturetest.NewNamespace(t)
	near, far := capturetest.Port{In: p.Sensor, Name: "near2"}, capturetest.Port{In: other, Name: "far2"}
	capturetest.Veth(t, near, far)
	near.Address(t, "198.19.2.1/24")
	far.Address(t, "198.19.2.2/24")
	other.IP(t, "route", "add", "198.19.0.0/24", "via", "198.19.2.1")
	p.Sensor.IP(t, "route", "add", capturetest.Targets4.String(), "via", "198.19.2.2", "metric", "50")
	prefixes := []netip.Prefix{capturetest.Targets4}
	first := pick(few4, fewPorts)
	second := []netip.AddrPort{netip.AddrPortFrom(few4.Addr().Next(), 22), netip.AddrPortFrom(few4.Addr().Next(), 443)}
	capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: prefixes, Open: first})
	capturetest.Serve(t, other, capturetest.Hosts{Prefixes: prefixes, Open: second})
	one, two := capturetest.Record(t, p.Far), capturetest.Record(t, far)
	spec := sweepSpec{Network: capture.TCP, Prefix: few4, Ports: fewPorts, PerSecond: 20_000}
	for _, tt := range []struct {
		name        string
		leave       func()
		want        []netip.AddrPort
		used, quiet *capturetest.Recorder
	}{
		{p.Near.Name, func() {}, first, one, two},
		{near.Name, func() {
			p.Sensor.IP(t, "route", "del", capturetest.Targets4.String(), "via", capturetest.Target4.String())
		}, second, two, one},
	} {
		tt.leave()
		before := capturetest.Count(tt.quiet.Received())[capturetest.ClassSYN]
		exact(t, once(t, p.Sensor, spec), tt.want)
		if n := capturetest.Count(tt.quiet.Received())[capturetest.ClassSYN] - before; n != 0 {
			t.Errorf("by %s: %d SYNs on the other interface", tt.name, n)
		}
		if n := capturetest.Count(tt.used.Received())[capturetest.ClassSYN]; n == 0 {
			t.Errorf("by %s: no SYNs there", tt.name)
		}
	}
}

// The machine's own addresses and loopback are asked as well.
func TestLocal(t *testing.T) {
	p := capturetest.NewPair(t)
	loop, own := netip.MustParseAddr("127.0.0.1"), capturetest.Sensor4
	open := []netip.AddrPort{netip.AddrPortFrom(loop, 80), netip.AddrPortFrom(loop, 443),
		netip.AddrPortFrom(own, 80), netip.AddrPortFrom(own, 443)}
	capturetest.Serve(t, p.Sensor, capturetest.Hosts{Open: open})
	rec := capturetest.Record(t, p.Far)
	d := discover(t, p.Sensor, sweepSpec{Network: capture.TCP, Addrs: []netip.Addr{loop, own}, Ports: fewPorts,
		Linger: time.Minute})
	exact(t, d.result(t), open)
	noHalfOpen(t, p.Sensor)
	if n := capturetest.Count(rec.Received()); n[capturetest.ClassSYN] != 0 {
		t.Errorf("packets to this machine left it: %v", n)
	}
}

// UDP answers come with their bytes, and nothing goes back to who answered.
func TestUDP(t *testing.T) {
	p := capturetest.NewPair(t)
	p.Via(t)
	few := netip.MustParsePrefix("198.18.4.0/26")
	capturetest.Serve(t, p.Target, capturetest.Hosts{UDP: []uint16{53},
		Prefixes: []netip.Prefix{capturetest.Targets4, capturetest.Targets6}})
	rec := scope{targets: []netip.Prefix{few, netip.MustParsePrefix("2001:db8:18::/122")},
		ports: []uint16{53, 54}}.guard(t, p.Far)
	for _, list := range [][]netip.Addr{addrs(few), addrs(netip.MustParsePrefix("2001:db8:18::/122"))} {
		r := once(t, p.Sensor, sweepSpec{Network: capture.UDP, Addrs: list, Ports: []uint16{53, 54},
			PerSecond: 2000, Tries: 3})
		var want []netip.AddrPort
		for _, a := range list {
			want = append(want, netip.AddrPortFrom(a, 53))
		}
		exact(t, r, want)
		if r.Payload != "got " || r.Reasons["port-unreach"] != len(list) {
			t.Errorf("answer %q, reasons %v", r.Payload, r.Reasons)
		}
	}
	for _, f := range rec.Received() {
		if f.Class() == capturetest.ClassError {
			t.Errorf("an answer was refused: %v", &f)
		}
	}
}
