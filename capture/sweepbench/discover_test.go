//go:build integration && linux

package sweepbench

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"sonde/capture/capturetest"
	"sonde/capture/sweep"
)

// A discovery is a sweep that runs in a namespace.
type discovery struct {
	*capturetest.Process
	events []sweep.Event // up to the result
}

// discover begins a sweep, which is ready to send when it returns.
func discover(t *testing.T, ns *capturetest.Namespace, spec sweepSpec) *discovery {
	t.Helper()
	d := &discovery{Process: ns.Start(t, "sweep", spec)}
	var e sweepEvent
	if !d.Next(t, &e, 20*time.Second) || !e.Ready {
		t.Fatal("the sweep did not begin")
	}
	return d
}

// result waits for the sweep's result; the process goes on if it lingers.
func (d *discovery) result(t *testing.T) *sweepResult {
	t.Helper()
	for {
		var e sweepEvent
		if !d.Next(t, &e, 3*time.Minute) {
			t.Fatal("the sweep failed")
		}
		if e.Event != nil {
			d.events = append(d.events, *e.Event)
		}
		if e.Result != nil {
			return e.Result
		}
	}
}

// once sweeps and waits for the process to end, so that another one may hold
// the source ports.
func once(t *testing.T, ns *capturetest.Namespace, spec sweepSpec) *sweepResult {
	t.Helper()
	d := discover(t, ns, spec)
	r := d.result(t)
	d.Stop(t)
	return r
}

// exact says what is missing and what is invented.
func exact(t *testing.T, r *sweepResult, want []netip.AddrPort) {
	t.Helper()
	sorted := func(list []netip.AddrPort) []netip.AddrPort {
		return slices.SortedFunc(slices.Values(list), netip.AddrPort.Compare)
	}
	got, want := sorted(r.Open), sorted(want)
	missing, invented := 0, 0
	for _, ap := range want {
		if _, ok := slices.BinarySearchFunc(got, ap, netip.AddrPort.Compare); !ok {
			missing++
		}
	}
	for _, ap := range got {
		if _, ok := slices.BinarySearchFunc(want, ap, netip.AddrPort.Compare); !ok {
			invented++
		}
	}
	if missing > 0 || invented > 0 || r.Twice > 0 || len(want) == 0 {
		t.Errorf("of %d open ports %d are missing; %d are invented, %d were told twice; %+v %v",
			len(want), missing, invented, r.Twice, r.Stats, r.Reasons)
	}
}

// pick gives the pairs that a share of three in a thousand opens.
func pick(p netip.Prefix, ports []uint16) (open []netip.AddrPort) {
	r := capturetest.Responder{Prefix: p, OpenPerMille: 3}
	for a := p.Addr(); p.Contains(a); a = a.Next() {
		for _, port := range ports {
			if r.Open(a, port) {
				open = append(open, netip.AddrPortFrom(a, port))
			}
		}
	}
	return open
}

// A scope is what a sweep may send.
type scope struct {
	targets []netip.Prefix
	ports   []uint16
	hops    []netip.Addr // and ends of the link, besides the usual ones
}

// guard captures all that the sensor sends over a link, and holds it against
// the scope when the test ends.
func (s scope) guard(t *testing.T, wire capturetest.Port) *capturetest.Recorder {
	t.Helper()
	s.hops = append(slices.Clone(s.hops), capturetest.Sensor4, capturetest.Target4, capturetest.Sensor6, capturetest.Target6)
	rec := capturetest.RecordReceived(t, wire)
	t.Cleanup(func() {
		n := s.check(t, rec.Received())
		t.Logf("all that the sensor sent on %s: %v", wire.Name, n)
		if n[capturetest.ClassSYN]+n[capturetest.ClassUDP] == 0 {
			t.Errorf("nothing was captured on %s: %v", wire.Name, n)
		}
	})
	return rec
}

// check holds each frame that the sensor sent against the scope. Each is a SYN,
// datagram or RST to a target and one of the ports from one of the source ports
// that we say we use, or one of the kernel's own kind, which are counted apart.
func (s scope) check(t *testing.T, frames []capturetest.Frame) map[capturetest.Class]int {
	t.Helper()
	bad := 0
	for i := range frames {
		f := &frames[i]
		if !s.allows(f) || f.BadSum || f.Short {
			if bad++; bad < 5 {
				t.Errorf("outside the scope, or damaged: %v", f)
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d frames of %d", bad, len(frames))
	}
	return capturetest.Count(frames)
}

func (s scope) allows(f *capturetest.Frame) bool {
	target := slices.ContainsFunc(s.targets, func(p netip.Prefix) bool { return p.Contains(f.Dst) })
	switch f.Class() {
	case capturetest.ClassSYN, capturetest.ClassUDP, capturetest.ClassRST:
		return target && slices.Contains(s.ports, f.DstPort) &&
			f.SrcPort >= sweep.DefaultPorts.First && f.SrcPort <= sweep.DefaultPorts.Last
	case capturetest.ClassARP:
		return target || slices.Contains(s.hops, f.Dst)
	case capturetest.ClassND:
		// Solicitations ask for a target or a hop; the rest is the kernel's.
		return f.Type != 135 || slices.Contains(s.hops, f.Asked) ||
			slices.ContainsFunc(s.targets, func(p netip.Prefix) bool { return p.Contains(f.Asked) })
	case capturetest.ClassGroups:
		return true // the kernel joins the groups of its addresses
	case capturetest.ClassTCP, capturetest.ClassEcho, capturetest.ClassError, capturetest.ClassUnknown:
	}
	return false
}
