//go:build integration && linux

package onwire

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

// network is a /64 on the sensor's own link, which nothing can walk.
const network = `
[[watch]]
name = "lan"
targets = ["2001:db8:77::/64"]
exclude = ["2001:db8:77::bad"]
names = ["www.example.org=2001:db8:77::c", "ftp.example.org", "out.example.org"]
tcp_ports = "22,80,2222"
udp_ports = ""
discover_every = "10m"
verify_every = "5m"
hosts_every = "10s"
all_nodes = 'always'
[limits]
host_packets_per_second = 200
connect_timeout = "300ms"
[discovery]
method = "auto"
`

// What is in the network, and what it takes to be found: a answers calls to all
// nodes, c stands in the configuration, d is a neighbour of the kernel, e speaks
// one day, f has a name, q is quiet, and bad is excluded and answers, speaks and
// has a name. All serve
// port 2222.
const (
	hostA   = "2001:db8:77::1:a"
	hostC   = "2001:db8:77::c"
	hostF   = "2001:db8:77::f"
	hostD   = "2001:db8:77:0:1234:5678:9abc:d"
	hostE   = "2001:db8:77:0:ffff::e"
	hostQ   = "2001:db8:77::99"
	hostBad = "2001:db8:77::bad"
)

func populated(t *testing.T) *capturetest.Pair {
	t.Helper()
	p := capturetest.NewPair(t)
	p.Near.Address(t, "2001:db8:77::1/64")
	p.Far.Address(t, hostA+"/64")
	for _, a := range []string{hostC, hostD, hostE, hostF, hostQ, hostBad} {
		// Deprecated addresses answer, but no call to all nodes is answered by them.
		p.Target.IP(t, "address", "add", a+"/64", "dev", p.Far.Name, "preferred_lft", "0")
	}
	mac := p.Target.IP(t, "-br", "link", "show", p.Far.Name)
	p.Sensor.IP(t, "neigh", "replace", hostD, "dev", p.Near.Name, "lladdr", strings.Fields(mac)[2], "nud", "stale")
	p.Sensor.IP(t, "neigh", "replace", hostBad, "dev", p.Near.Name, "lladdr", strings.Fields(mac)[2], "nud", "stale")
	serve(t, p.Target, "[::]:2222", ssh)
	resolve(t, p, map[string]netip.Addr{"ftp.example.org.": netip.MustParseAddr(hostF), "out.example.org.": netip.MustParseAddr(hostBad)})
	return p
}

// servicesOf gives the hosts of which an event of a kind was told, in order.
func (d *daemon) servicesOf(t *testing.T, a event.Action) (list []string) {
	t.Helper()
	for _, e := range d.only(t, a) {
		list = append(list, e.Endpoint.Addr.String())
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func sorted(list ...string) []string { slices.Sort(list); return list }

// checkNetwork holds what was sent into the network against what is known there.
func checkNetwork(t *testing.T, frames []capturetest.Frame, known ...string) {
	t.Helper()
	prefix := netip.MustParsePrefix("2001:db8:77::/64")
	calls := 0
	for i := range frames {
		f := &frames[i]
		to, discovery := f.Dst, true
		switch f.Class() {
		case capturetest.ClassSYN, capturetest.ClassTCP, capturetest.ClassRST, capturetest.ClassUDP:
		case capturetest.ClassEcho:
			if to == netip.MustParseAddr("ff02::1") {
				calls++
				continue
			}
			// The kernel answers what it is asked.
			discovery = f.Type == 128
		case capturetest.ClassND:
			if f.Type != 135 {
				continue
			}
			to = f.Asked
		default:
			continue
		}
		if discovery && prefix.Contains(to) && !slices.Contains(known, to.String()) {
			t.Errorf("sent to who is not known: %s", f)
		}
	}
	t.Logf("%d calls to all nodes", calls)
}

// TestNetworkThatCannotBeWalked: the hosts of a /64 are found in each of the ways
// that there are, their services are told, a host that comes later is found
// before the next sweep, and nobody else is sent anything.
func TestNetworkThatCannotBeWalked(t *testing.T) {
	p := populated(t)
	wire := capturetest.RecordReceived(t, p.Far)
	d := start(t, p.Sensor, network)
	d.await(t, "watch.baselined", func(e *event.Event) bool { return e.Action == event.WatchBaselined })
	d.awaitLog(t, "sweep complete", "transport=tcp")
	if got, want := d.servicesOf(t, event.ServiceBaseline), sorted(hostA, hostC, hostD, hostF); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}

	speak(t, p, hostBad, "2001:db8:77::1")
	speak(t, p, hostE, "2001:db8:77::1")
	d.await(t, "service.new", func(e *event.Event) bool {
		return e.Action == event.ServiceNew && e.Endpoint.Addr.String() == hostE
	})
	if got := d.servicesOf(t, event.ServiceNew); !slices.Equal(got, []string{hostE}) {
		t.Errorf("new are %q", got)
	}
	if n := strings.Count(d.log.String(), "sweep complete"); n != 1 {
		t.Errorf("%d sweeps", n)
	}
	checkNetwork(t, wire.Frames(), hostA, hostC, hostD, hostE, hostF)

	// Whoever was asked, or heard the call, can be told so.
	d.until(t, "the log of what was sent", func() bool {
		out, err := p.Sensor.Command(t.Context(), program(t), "explain", "--sent", hostQ, "--state-dir", d.dir).CombinedOutput()
		return err == nil && strings.Contains(string(out), "all-nodes")
	})
}

// TestNetworkWithoutCalls: all nodes are not called where one of them is excluded,
// unless that is wanted.
func TestNetworkWithoutCalls(t *testing.T) {
	p := populated(t)
	wire := capturetest.RecordReceived(t, p.Far)
	d := start(t, p.Sensor, strings.Replace(network, "all_nodes = 'always'\n", "", 1)+"[passive]\nenabled = false\n")
	d.awaitLog(t, "sweep complete", "transport=tcp")
	if got, want := d.servicesOf(t, event.ServiceBaseline), sorted(hostC, hostD, hostF); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	for _, f := range wire.Frames() {
		if f.Class() == capturetest.ClassEcho && f.Dst.IsMulticast() {
			t.Errorf("a call to all nodes: %s", &f)
		}
	}
	checkNetwork(t, wire.Frames(), hostC, hostD, hostF)
}

// TestNetworkByConnections: without CAP_NET_RAW the hosts are those that the
// configuration and the kernel name.
func TestNetworkByConnections(t *testing.T) {
	p := populated(t)
	wire := capturetest.RecordReceived(t, p.Far)
	d := start(t, p.Sensor, network, "setpriv", "--bounding-set", "-net_raw")
	d.awaitLog(t, "sweep complete", "transport=tcp")
	if got, want := d.servicesOf(t, event.ServiceBaseline), sorted(hostC, hostD, hostF); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	checkNetwork(t, wire.Frames(), hostC, hostD, hostF)
}

// echoed is two networks of IPv4 that are swept once in ten minutes, one on the
// link and one behind a router, and whose addresses are asked by echo meanwhile.
const echoed = `
[[watch]]
name = "lan"
targets = ["198.18.7.0/28", "198.18.8.0/28"]
exclude = ["198.18.7.5", "198.18.8.5"]
tcp_ports = "22,2222"
udp_ports = ""
discover_every = "10m"
verify_every = "5m"
echo = true
hosts_every = "10s"
[limits]
host_packets_per_second = 200
connect_timeout = "300ms"
[passive]
enabled = false
`

// TestEcho: hosts that come are found by echo, on the link and behind a router,
// and asked before the next sweep. Nobody out of the scope is sent an echo.
func TestEcho(t *testing.T) {
	p := capturetest.NewPair(t)
	p.Near.Address(t, "198.18.7.1/28")
	p.Far.Address(t, "198.18.7.2/28")
	p.Sensor.IP(t, "route", "add", "198.18.8.0/28", "via", capturetest.Target4.String())
	wire := capturetest.RecordReceived(t, p.Far)
	d := start(t, p.Sensor, echoed)
	d.awaitLog(t, "sweep complete", "transport=tcp")
	p.Far.Address(t, "198.18.7.9/28")
	for _, a := range []string{"198.18.8.9", "198.18.8.5"} {
		p.Target.IP(t, "route", "add", "local", a, "dev", "lo")
	}
	serve(t, p.Target, "0.0.0.0:2222", ssh)
	for _, a := range []string{"198.18.7.9", "198.18.8.9"} {
		d.await(t, "service.new at "+a, func(e *event.Event) bool {
			return e.Action == event.ServiceNew && e.Endpoint.Addr.String() == a
		})
	}
	if n := strings.Count(d.log.String(), "sweep complete"); n != 1 {
		t.Errorf("%d sweeps", n)
	}
	echoes := 0
	for _, f := range wire.Frames() {
		if f.Class() != capturetest.ClassEcho || f.Type != 8 {
			continue
		}
		echoes++
		lan, behind := netip.MustParsePrefix("198.18.7.0/28"), netip.MustParsePrefix("198.18.8.0/28")
		if a := f.Dst; !lan.Contains(a) && !behind.Contains(a) || strings.HasSuffix(a.String(), ".5") {
			t.Errorf("an echo out of the scope: %s", &f)
		}
	}
	if echoes == 0 {
		t.Error("no echo was sent")
	}
}
