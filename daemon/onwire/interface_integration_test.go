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

// twins is a sensor with two interfaces, "one" and "two". Behind each lives a
// network of its own, with the same addresses as the other: two VLANs would be
// the same, but not each kernel has them.
func twins(t *testing.T) (sensor *capturetest.Namespace, far map[string]capturetest.Port) {
	t.Helper()
	sensor, far = capturetest.NewNamespace(t), map[string]capturetest.Port{}
	for _, name := range []string{"one", "two"} {
		near := capturetest.Port{In: sensor, Name: name}
		far[name] = capturetest.Port{In: capturetest.NewNamespace(t), Name: "far"}
		capturetest.Veth(t, near, far[name])
		near.Address(t, "198.18.9.1/24")
		near.Address(t, "2001:db8:9::1/64")
		for _, a := range []string{"198.18.9.5/24", "198.18.9.6/24", "2001:db8:9::5/64"} {
			far[name].Address(t, a)
		}
	}
	return sensor, far
}

// divided watches both; the second network has a port more.
const divided = `
[[watch]]
name = "first"
zone = "red"
interface = "one"
targets = ["198.18.9.5-6", "2001:db8:9::5"]
tcp_ports = "22"
udp_ports = "53"
discover_every = "2s"
verify_every = "1s"
gone_after = "4s"
best_effort = true
[[watch]]
name = "second"
zone = "blue"
interface = "two"
targets = ["198.18.9.5-6", "2001:db8:9::5"]
tcp_ports = "22,2222"
udp_ports = ""
discover_every = "2s"
verify_every = "1s"
gone_after = "4s"
best_effort = true
[limits]
host_packets_per_second = 200
host_new_connections_per_second = 100
connect_timeout = "300ms"
[confirm]
changed_over = "1s"
closed_after = "2s"
filtered_visits = 2
[discovery]
method = `

// versions are what is known, as "red 198.18.9.5:22 9.6".
func (d *daemon) versions(t *testing.T) (list []string) {
	t.Helper()
	for _, e := range d.only(t, event.ServiceBaseline, event.ServiceChanged, event.ServiceNew, event.ServiceGone) {
		if e.Endpoint.Transport == "tcp" {
			list = append(list, string(e.Action)+" "+e.Zone+" "+endpointOf(&e).String()+" "+e.Endpoint.Version)
		}
	}
	slices.Sort(list)
	return list
}

// TestTwoNetworksWithTheSameAddresses: each watch asks by its own interface, and
// knows its own hosts. What changes in one network is no news in the other, and
// a link that is lost proves nothing absent behind it and holds up nothing else.
func TestTwoNetworksWithTheSameAddresses(t *testing.T) {
	for _, method := range []string{"syn", "connect"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			sensor, far := twins(t)
			serve(t, far["one"].In, "198.18.9.5:22", "SSH-2.0-OpenSSH_9.6\r\n")
			serve(t, far["one"].In, "[2001:db8:9::5]:22", "SSH-2.0-OpenSSH_9.5\r\n")
			stop := serve(t, far["two"].In, "198.18.9.5:22", "SSH-2.0-OpenSSH_8.4\r\n")
			serve(t, far["two"].In, "198.18.9.6:2222", "SSH-2.0-OpenSSH_8.8\r\n")
			wire := map[string]*capturetest.Recorder{}
			for name, at := range far {
				wire[name] = capturetest.RecordReceived(t, at)
			}
			var without []string
			if method == "connect" { // which needs no privilege
				without = []string{"setpriv", "--bounding-set", "-net_raw"}
			}
			d := start(t, sensor, divided+"'"+method+"'\n", without...)
			want := []string{
				"service.baseline blue 198.18.9.5:22 8.4", "service.baseline blue 198.18.9.6:2222 8.8",
				"service.baseline red 198.18.9.5:22 9.6", "service.baseline red [2001:db8:9::5]:22 9.5",
			}
			settled := func(what string, want []string) {
				t.Helper()
				d.until(t, what, func() bool { return len(d.versions(t)) >= len(want) })
				if got := d.versions(t); !slices.Equal(got, want) {
					t.Fatalf("%s: %q, want %q", what, got, want)
				}
			}
			settled("first look", want)

			stop()
			serve(t, far["two"].In, "198.18.9.5:22", "SSH-2.0-OpenSSH_9.1\r\n")
			want = append(want, "service.changed blue 198.18.9.5:22 9.1")
			settled("change", want)

			far["two"].Down(t)
			d.await(t, "sensor.degraded", func(e *event.Event) bool {
				return e.Action == event.SensorDegraded && strings.Contains(e.Message, " two ")
			})
			before := synsTo(wire["one"], "198.18.9.6:22")
			d.until(t, "sweeps of the other network", func() bool { return synsTo(wire["one"], "198.18.9.6:22") >= before+3 })
			far["two"].Up(t)
			far["two"].Address(t, "2001:db8:9::5/64")
			d.await(t, "sensor.recovered", func(e *event.Event) bool {
				return e.Action == event.SensorRecovered && strings.Contains(e.Message, " two ")
			})
			// Who was absent is left alone for a while; who is known is asked.
			before = synsTo(wire["two"], "198.18.9.5:22")
			d.until(t, "visits after the loss", func() bool { return synsTo(wire["two"], "198.18.9.5:22") >= before+3 })
			settled("in the end", want)
			notFrom(t, wire["one"])
		})
	}
}

// TestNoSuchInterface: an interface that is not there is told at the start, and
// by a plan; nothing is sent by another one meanwhile, and it is used when it
// comes.
func TestNoSuchInterface(t *testing.T) {
	t.Parallel()
	sensor, far := twins(t)
	serve(t, far["one"].In, "198.18.9.5:22", ssh)
	serve(t, far["two"].In, "198.18.9.5:2222", ssh)
	sensor.IP(t, "link", "set", "two", "down")
	sensor.IP(t, "link", "set", "two", "name", "other")
	wire := capturetest.RecordReceived(t, far["one"])
	d := start(t, sensor, divided+"'auto'\n")
	d.awaitLog(t, "the interface of a watch does not serve", "watch=second", "not on this machine")
	d.await(t, "sensor.degraded", func(e *event.Event) bool {
		return e.Action == event.SensorDegraded && strings.Contains(e.Message, "two cannot be used: there is no such interface")
	})
	out, err := sensor.Command(t.Context(), program(t), "plan", "-c", d.file()).Output()
	if text := string(out); err == nil || !strings.Contains(text, "watch second: interface two is not on this machine") ||
		!strings.Contains(text, "one, in zone red") {
		t.Errorf("plan: %v\n%s", err, text)
	}
	d.until(t, "sweeps of the other", func() bool { return synsTo(wire, "198.18.9.6:22") > 1 })
	sensor.IP(t, "link", "set", "other", "name", "two")
	sensor.IP(t, "link", "set", "two", "up")
	sensor.IP(t, "-6", "address", "add", "2001:db8:9::1/64", "dev", "two")
	d.await(t, "the service behind it", func(e *event.Event) bool {
		return e.Action == event.ServiceBaseline && e.Zone == "blue" && endpointOf(e).String() == "198.18.9.5:2222"
	})
	notFrom(t, wire)
	sensor.Sysctl(t, "net/ipv4/conf/all/rp_filter", "1")
	out, err = sensor.Command(t.Context(), program(t), "plan", "-c", d.file()).Output()
	if text := string(out); err == nil || strings.Contains(text, "watch first: interface") ||
		!strings.Contains(text, "watch second: interface two may hear no answers of 198.18.9.5/32") {
		t.Errorf("plan with a strict filter: %v\n%s", err, text)
	}
	sensor.Sysctl(t, "net/ipv4/conf/all/rp_filter", "0")
	d.until(t, "both interfaces in what was sent", func() bool {
		out, err := sensor.Command(t.Context(), program(t), "explain", "--sent", "198.18.9.5", "-c", d.file()).Output()
		return err == nil && strings.Contains(string(out), " on one") && strings.Contains(string(out), " on two")
	})
}

// TestScanByAnInterface: a scan finds what is behind the interface that it names.
func TestScanByAnInterface(t *testing.T) {
	t.Parallel()
	sensor, far := twins(t)
	for name, banner := range map[string]string{"one": "SSH-2.0-OpenSSH_9.6\r\n", "two": "SSH-2.0-OpenSSH_8.4\r\n"} {
		serve(t, far[name].In, "198.18.9.5:22", banner)
	}
	for _, method := range []string{"syn", "connect"} {
		for name, version := range map[string]string{"one": "OpenSSH 9.6", "two": "OpenSSH 8.4"} {
			out, err := sensor.Command(t.Context(), program(t), "scan", "198.18.9.5", "-p", "22", "-e", name,
				"--method", method).Output()
			if err != nil || !strings.Contains(string(out), version) {
				t.Errorf("%s by %s: %v\n%s", method, name, err, out)
			}
		}
	}
	out, err := sensor.Command(t.Context(), program(t), "scan", "198.18.9.5", "-p", "22", "-e", "none").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--interface none") {
		t.Errorf("no such interface: %v\n%s", err, out)
	}
}

// notFrom checks that the first network saw nothing of what only the second watch
// asks. The kernel's own RSTs, for connections that it has forgotten, follow the
// routes; for discovery by packets it sends none.
func notFrom(t *testing.T, first *capturetest.Recorder) {
	t.Helper()
	for _, to := range []string{"198.18.9.5:2222", "198.18.9.6:2222", "[2001:db8:9::5]:2222"} {
		if n := synsTo(first, to); n > 0 {
			t.Errorf("%d connections to %s in the wrong network", n, to)
		}
	}
	for _, f := range first.Frames() {
		if f.Class() == capturetest.ClassRST && f.DstPort == 2222 && f.SrcPort >= 61000 && f.SrcPort <= 61255 {
			t.Errorf("in the wrong network: %s", &f)
		}
	}
}

// synsTo counts the SYNs to an endpoint.
func synsTo(r *capturetest.Recorder, to string) (n int) {
	at := netip.MustParseAddrPort(to)
	for _, f := range r.Frames() {
		if f.Class() == capturetest.ClassSYN && f.Dst == at.Addr() && f.DstPort == at.Port() {
			n++
		}
	}
	return n
}
