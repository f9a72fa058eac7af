//go:build integration && linux

package onwire

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

// often has the daemon look every few seconds, and confirm within seconds.
const often = `
[[watch]]
name = "lan"
targets = ["198.18.0.0/28", "2001:db8:18::/126"]
tcp_ports = "20-29,80,2222"
udp_ports = ""
discover_every = "3s"
verify_every = "2s"
best_effort = true
[limits]
host_packets_per_second = 200
host_new_connections_per_second = 100
[confirm]
changed_over = "2s"
closed_after = "2s"
[passive]
enabled = false
[discovery]
method = `

// told are the events about services that are no baseline, in short.
func (d *daemon) told(t *testing.T) (list []string) {
	t.Helper()
	for _, e := range d.only(t, event.ServiceNew, event.ServiceGone, event.ServiceChanged, event.ServiceReturned,
		event.ServiceUnverified) {
		list = append(list, string(e.Action)+" "+endpointOf(&e).String())
	}
	return list
}

// TestEventsByPackets: what appears, goes and changes is told as such, once, by
// sweeps of packets alone.
func TestEventsByPackets(t *testing.T) {
	p := ground(t)
	stop := serve(t, p.Target, "198.18.0.6:21", "220 ProFTPD 1.3.5 Server (ProFTPD Default Installation) [198.18.0.6]\r\n")
	leave := serve(t, p.Target, "[2001:db8:18::1]:80", ssh)
	d := start(t, p.Sensor, often+"'syn'\n")
	d.awaitLog(t, "sweep complete")
	d.until(t, "baseline", func() bool { return len(d.only(t, event.ServiceBaseline)) == len(open)+2 })

	serve(t, p.Target, "198.18.0.7:2222", ssh)
	leave()
	stop()
	serve(t, p.Target, "198.18.0.6:21", ssh)
	want := map[string]bool{"service.new 198.18.0.7:2222": true, "service.gone [2001:db8:18::1]:80": true,
		"service.changed 198.18.0.6:21": true}
	d.until(t, "events", func() bool { return len(d.told(t)) >= len(want) })
	sweeps := strings.Count(d.log.String(), "sweep complete")
	d.until(t, "two more sweeps", func() bool { return strings.Count(d.log.String(), "sweep complete") >= sweeps+2 })
	list := d.told(t)
	if len(list) != len(want) {
		t.Errorf("told %q", list)
	}
	for _, e := range list {
		if !want[e] {
			t.Errorf("told %q", e)
		}
	}
	for _, e := range d.only(t, event.ServiceNew) {
		if e.AbsentAt.IsZero() || e.Confirmations < 2 {
			t.Errorf("new without proof: %+v", e)
		}
	}
	for _, e := range d.only(t, event.ServiceGone) {
		if e.Reason != "closed" {
			t.Errorf("gone: %s", e.Reason)
		}
	}
}

// TestMethodChanges: another way of finding ports is no news of the services.
func TestMethodChanges(t *testing.T) {
	p := ground(t)
	d := start(t, p.Sensor, often+"'connect'\n")
	d.awaitLog(t, "sweep complete")
	sweeps := func(n int) {
		t.Helper()
		before := strings.Count(d.log.String(), "sweep complete")
		d.until(t, "sweeps", func() bool { return strings.Count(d.log.String(), "sweep complete") >= before+n })
	}
	sweeps(1)
	for _, method := range []string{"syn", "connect", "syn"} {
		d.configure(t, often+"'"+method+"'\n")
		d.reload(t)
		sweeps(3)
	}
	if list := d.told(t); len(list) > 0 {
		t.Errorf("told %q", list)
	}
	if n := len(d.only(t, event.ServiceBaseline)); n != len(open) {
		t.Errorf("%d baselines, want %d", n, len(open))
	}

	// What the first sweep of another method finds was perhaps there before.
	seldom := strings.NewReplacer(`"3s"`, `"10m"`).Replace(often)
	d.configure(t, seldom+"'connect'\n")
	d.reload(t)
	d.reload(t)
	serve(t, p.Target, "198.18.0.7:2222", ssh)
	d.configure(t, strings.ReplaceAll(seldom, "20-29,80,2222", "20-30,80,2222")+"'syn'\n") // a scope of its own
	d.reload(t)
	d.await(t, "the late service", func(e *event.Event) bool { return endpointOf(e).String() == "198.18.0.7:2222" })
}

// bind answers the request for the version of a name server.
const bind = "SD\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00\x07version\x04bind\x00\x00\x10\x00\x03" +
	"\xc0\x0c\x00\x10\x00\x03\x00\x00\x00\x00\x00\"!9.16.23-RedHat-9.16.23-14.el9_3.5"

// serveUDP answers datagrams in which a word stands.
func serveUDP(t *testing.T, ns *capturetest.Namespace, at, word, answer string) {
	t.Helper()
	var c net.PacketConn
	ns.Do(t, func() (err error) {
		c, err = net.ListenPacket("udp", at)
		return err
	})
	var all sync.WaitGroup
	all.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if bytes.Contains(b[:n], []byte(word)) {
				_, _ = c.WriteTo([]byte(answer), from)
			}
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		all.Wait()
	})
}

// TestUDPByPackets: what answered a sweep's datagram is identified by that answer,
// and is sent nothing else, by us or by the kernel.
func TestUDPByPackets(t *testing.T) {
	for _, method := range []string{"syn", "connect"} {
		t.Run(method, func(t *testing.T) {
			p := ground(t)
			serveUDP(t, p.Target, "198.18.0.3:53", "version", bind)
			serveUDP(t, p.Target, "[2001:db8:18::2]:53", "version", bind)
			wire := capturetest.RecordReceived(t, p.Far)
			d := start(t, p.Sensor, strings.ReplaceAll(watch, `"20-29,80,2222"`, `""`)+"[discovery]\nmethod = '"+method+"'\n")
			d.awaitLog(t, "sweep complete", "transport=udp", "open=2")
			found := d.only(t, event.ServiceBaseline)
			for _, e := range found {
				if e.Endpoint.Product != "ISC BIND" || e.Endpoint.Cost.Probes != 0 {
					t.Errorf("%s: %s after %d probes", endpointOf(&e), e.Endpoint.Product, e.Endpoint.Cost.Probes)
				}
			}
			if len(found) != 2 {
				t.Errorf("%d services, want 2", len(found))
			}
			sent := map[netip.Addr]int{}
			for _, f := range wire.Frames() {
				switch f.Class() {
				case capturetest.ClassError:
					t.Errorf("an ICMP error: %s", &f)
				case capturetest.ClassUDP:
					sent[f.Dst]++
					if byPackets := f.SrcPort >= 61000 && f.SrcPort <= 61255; byPackets != (method == "syn") {
						t.Errorf("not of the sweep: %s", &f)
					}
				}
			}
			// Two requests are known for the port, of which the second is answered
			// at the latest.
			for _, a := range []string{"198.18.0.3", "2001:db8:18::2"} {
				if n := sent[netip.MustParseAddr(a)]; n < 1 || n > 4 {
					t.Errorf("%d datagrams to %s", n, a)
				}
			}
		})
	}
}
