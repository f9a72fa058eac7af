//go:build integration && linux

package onwire

import (
	"net"
	"net/netip"
	"testing"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

// seldom is a network on the sensor's own link that is swept once in ten minutes.
const seldom = `
[[watch]]
name = "lan"
targets = ["198.18.7.0/26", "2001:db8:77::/122"]
tcp_ports = "20-29,80,2222"
udp_ports = ""
discover_every = "10m"
verify_every = "2s"
gone_after = "3s"
best_effort = true
[limits]
host_packets_per_second = 200
host_new_connections_per_second = 100
connect_timeout = "300ms"
[confirm]
closed_after = "2s"
mass_hosts = 1000
`

// onLink makes a sensor and a target that are neighbours.
func onLink(t *testing.T) *capturetest.Pair {
	t.Helper()
	p := capturetest.NewPair(t)
	p.Near.Address(t, "198.18.7.1/26")
	p.Near.Address(t, "2001:db8:77::1/64")
	p.Far.Address(t, "198.18.7.2/26")
	p.Far.Address(t, "2001:db8:77::2/64")
	return p
}

// speak has an address of the target ask for the sensor's: by ARP or neighbour
// discovery, as a host does that has just come.
func speak(t *testing.T, p *capturetest.Pair, from, to string) {
	t.Helper()
	p.Target.IP(t, "neigh", "flush", "dev", p.Far.Name)
	p.Target.IP(t, "-6", "neigh", "flush", "dev", p.Far.Name)
	p.Target.Do(t, func() error {
		d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
		c, err := d.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(to), 9).String())
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("here"))
		return err
	})
}

// arrive gives the target one more address, which may be used at once.
func arrive(t *testing.T, p *capturetest.Pair, addr string) {
	t.Helper()
	if netip.MustParseAddr(addr).Is4() {
		p.Far.Address(t, addr+"/26")
		return
	}
	p.Target.IP(t, "address", "add", addr+"/64", "dev", p.Far.Name, "nodad")
}

// TestNewHostOnLink: a host that is seen for the first time, and one that is seen
// again after its services were gone, have all their ports asked well before the next
// sweep, and what they serve is told.
func TestNewHostOnLink(t *testing.T) {
	for _, host := range []struct{ name, addr, sensor string }{
		{"arp", "198.18.7.9", "198.18.7.1"},
		{"nd", "2001:db8:77::9", "2001:db8:77::1"},
	} {
		t.Run(host.name, func(t *testing.T) {
			p := onLink(t)
			d := start(t, p.Sensor, seldom)
			d.awaitLog(t, "sweep complete", "transport=tcp")
			at := netip.AddrPortFrom(netip.MustParseAddr(host.addr), 2222).String()
			told := func(a event.Action) func(*event.Event) bool {
				return func(e *event.Event) bool { return e.Action == a && endpointOf(e).String() == at }
			}

			arrive(t, p, host.addr)
			stop := serve(t, p.Target, at, ssh)
			speak(t, p, host.addr, host.sensor)
			if e := d.await(t, "service.new", told(event.ServiceNew)); e.Confirmations < 2 {
				t.Errorf("service.new with %d confirmations", e.Confirmations)
			}

			stop()
			d.await(t, "service.gone", told(event.ServiceGone))
			// What listening has told of a host is told again after ten minutes, or
			// when it has another MAC address.
			p.Far.In.IP(t, "link", "set", p.Far.Name, "address", "02:00:00:00:07:09")
			serve(t, p.Target, at, ssh)
			speak(t, p, host.addr, host.sensor)
			d.await(t, "service.returned", told(event.ServiceReturned))
			sweeps := 0
			for _, e := range d.events(t) {
				if e.Action == event.WatchBaselined {
					sweeps++
				}
			}
			if sweeps != 1 {
				t.Errorf("%d first sweeps", sweeps)
			}
		})
	}
}
