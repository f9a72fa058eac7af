//go:build integration && linux

package onwire

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

const ssh = "SSH-2.0-OpenSSH_9.6\r\n"

// The targets of the tests: 16 addresses of IPv4, of which one is excluded, and
// four of IPv6.
const watch = `
[[watch]]
name = "lan"
targets = ["198.18.0.0/28", "2001:db8:18::/126"]
exclude = ["198.18.0.9"]
tcp_ports = "20-29,80,2222"
udp_ports = "53"
discover_every = "10m"
verify_every = "5m"
`

// open are the endpoints that are there from the start.
var open = []string{"198.18.0.3:22", "198.18.0.5:80", "[2001:db8:18::2]:22"}

// ground makes a sensor and targets that are reached by a next hop.
func ground(t *testing.T) *capturetest.Pair {
	t.Helper()
	p := capturetest.NewPair(t)
	p.Via(t)
	for _, prefix := range []netip.Prefix{capturetest.Targets4, capturetest.Targets6} {
		family := "-4"
		if prefix.Addr().Is6() {
			family = "-6"
		}
		p.Target.IP(t, family, "route", "add", "local", prefix.String(), "dev", "lo")
	}
	p.Target.Sysctl(t, "net/ipv6/ip_nonlocal_bind", "1")
	p.Target.Sysctl(t, "net/ipv4/icmp_ratelimit", "0")
	for _, at := range open {
		serve(t, p.Target, at, ssh)
	}
	return p
}

// baselined waits for the end of the first look and checks what it found.
func baselined(t *testing.T, d *daemon) {
	t.Helper()
	for range 2 { // of TCP; that of UDP may come before it
		d.await(t, "watch.baselined", func(e *event.Event) bool { return e.Action == event.WatchBaselined })
	}
	d.awaitLog(t, "sweep complete", "transport=tcp")
	var found []string
	for _, e := range d.events(t) {
		if e.Action == event.ServiceBaseline && e.Endpoint.Transport == "tcp" {
			found = append(found, endpointOf(&e).String())
		}
	}
	slices.Sort(found)
	want := slices.Sorted(slices.Values(open))
	if !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}

// inScope says whether a frame may come from the sensor, and whether it is one
// of discovery.
func inScope(f *capturetest.Frame) bool {
	dst := f.Dst
	if dst == netip.MustParseAddr("198.18.0.9") {
		return false
	}
	return netip.MustParsePrefix("198.18.0.0/28").Contains(dst) || netip.MustParsePrefix("2001:db8:18::/126").Contains(dst)
}

// TestDaemonByPackets: the daemon finds everything by packets of its own, sends
// nothing out of its scope, leaves no connection half open, and asks a service
// that listening saw well before the next sweep.
func TestDaemonByPackets(t *testing.T) {
	p := ground(t)
	wire := capturetest.RecordReceived(t, p.Far)
	d := start(t, p.Sensor, watch+"[passive]\ninterfaces = ['near']\n")
	if line := d.awaitLog(t, "sonde started"); !strings.Contains(line, "discovery=syn") {
		t.Errorf("log: %s", line)
	}
	baselined(t, d)

	const late = "198.18.0.7:2222"
	serve(t, p.Target, late, ssh)
	began := time.Now()
	connect(t, p.Sensor, late)
	e := d.await(t, "service.new", func(e *event.Event) bool {
		return e.Action == event.ServiceNew && endpointOf(e).String() == late
	})
	took := time.Since(began)
	t.Logf("from the sighting to service.new: %v", took.Round(time.Millisecond))
	if took > 5*time.Second || e.Confirmations < 2 {
		t.Errorf("service.new after %v with %d confirmations", took, e.Confirmations)
	}

	byPackets := 0
	for _, f := range wire.Frames() {
		switch f.Class() {
		case capturetest.ClassSYN, capturetest.ClassRST, capturetest.ClassTCP, capturetest.ClassUDP:
			if !inScope(&f) {
				t.Errorf("%s from %s:%d to %s:%d is out of scope", f.Class(), f.Src, f.SrcPort, f.Dst, f.DstPort)
			}
			if f.Class() == capturetest.ClassSYN && f.SrcPort >= 61000 && f.SrcPort <= 61255 {
				byPackets++
			}
		}
	}
	// 15 addresses of IPv4 and 4 of IPv6 with 12 ports each.
	if want := (15 + 4) * 12; byPackets < want {
		t.Errorf("%d SYNs from the source ports of discovery, want %d", byPackets, want)
	}
	if lines := capturetest.HalfOpen(t, p.Target); len(lines) > 0 {
		t.Errorf("half open: %q", lines)
	}
}

// TestDaemonByConnections: without CAP_NET_RAW the same is found, and the log
// says once what is missing and how to grant it, also when the configuration is
// read again.
func TestDaemonByConnections(t *testing.T) {
	p := ground(t)
	wire := capturetest.RecordReceived(t, p.Far)
	d := start(t, p.Sensor, watch+"[passive]\ninterfaces = ['near']\n", "setpriv", "--bounding-set", "-net_raw")
	d.awaitLog(t, "sonde started", "discovery=connect")
	baselined(t, d)
	d.reload(t)
	d.reload(t) // taken by what the first one began
	missing := func() (lines []string) {
		for line := range strings.Lines(d.log.String()) {
			if strings.Contains(line, "CAP_NET_RAW") || strings.Contains(line, "cap_net_raw") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	list := missing()
	if len(list) != 1 {
		t.Fatalf("the log names the capability in %d lines, want 1: %q", len(list), list)
	}
	for _, part := range []string{"level=WARN", "discovery by packets of its own and listening", "discovery=connect",
		"AmbientCapabilities=CAP_NET_RAW", "setcap cap_net_raw+ep"} {
		if !strings.Contains(list[0], part) {
			t.Errorf("no %q in %q", part, list[0])
		}
	}
	for _, f := range wire.Frames() {
		switch f.Class() {
		case capturetest.ClassSYN, capturetest.ClassTCP, capturetest.ClassUDP:
			if !inScope(&f) {
				t.Errorf("%s from %s:%d to %s:%d is out of scope", f.Class(), f.Src, f.SrcPort, f.Dst, f.DstPort)
			}
		}
	}
}

// TestScanByBothMethods: a scan finds the same by packets and by connections.
func TestScanByBothMethods(t *testing.T) {
	p := ground(t)
	tables := map[string]string{}
	for _, method := range []string{"syn", "connect", "auto"} {
		out, err := p.Sensor.Command(t.Context(), program(t), "scan", "198.18.0.0/28", "2001:db8:18::/126",
			"-p", "20-29,80,2222", "--method", method, "-o", "json").Output()
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		var found []string
		for line := range strings.Lines(string(out)) {
			found = append(found, line)
		}
		if len(found) != len(open) {
			t.Errorf("%s: %d found, want %d\n%s", method, len(found), len(open), out)
		}
		text, err := p.Sensor.Command(t.Context(), program(t), "scan", "198.18.0.5",
			"-p", "20-29,80,2222", "--method", method).Output()
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		tables[method] = string(text)
	}
	for method, text := range tables {
		if !strings.Contains(text, "80/tcp") || !strings.Contains(text, "11 closed") {
			t.Errorf("%s:\n%s", method, text)
		}
	}
}
