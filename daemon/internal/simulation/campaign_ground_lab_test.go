//go:build lab && linux

package simulation

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sonde/capture/capturetest"
)

// labNamespace is the bridge of the lab of real servers, whose client is there,
// too.
const labNamespace = "lab"

// A ground is a bridge of our own, with the sensor and our own boxes, which one
// link joins to the lab's. All that goes to or from the sensor crosses it.
type ground struct {
	t      testing.TB
	hub    *capturetest.Namespace
	sensor *capturetest.Namespace
	boxes  map[int]*box
}

// Where the sensor and the boxes are, in the lab's own network.
const (
	sensor4 = "198.18.250.1"
	sensor6 = "2001:db8::fa01"
	lossy   = "50" // of a thousand frames, each way
)

func boxAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 200, byte(n)}) }

func newGround(t testing.TB) *ground {
	g := &ground{t: t, hub: capturetest.NewNamespace(t), sensor: capturetest.NewNamespace(t), boxes: map[int]*box{}}
	g.hub.IP(t, "link", "add", "br0", "type", "bridge")
	capturetest.Port{In: g.hub, Name: "br0"}.Up(t)
	near := g.join(g.sensor, "sensor")
	near.Address(t, sensor4+"/15")
	near.Address(t, sensor6+"/64")

	lab := &capturetest.Namespace{Name: labNamespace}
	uplink := g.join(lab, g.hub.Name)
	t.Cleanup(func() { lab.IP(t, "link", "del", uplink.Name) }) // the lab outlives the test
	uplink.In.IP(t, "link", "set", uplink.Name, "master", "br0")

	g.hub.NFT(t, `table bridge way {
chain cut { }
chain forward { type filter hook forward priority 0
iifname != "sensor" oifname != "sensor" accept
numgen random mod 1000 < `+lossy+` drop
jump cut
}
}
`)
	return g
}

// join makes a link between the bridge and a namespace, and gives the end there.
func (g *ground) join(ns *capturetest.Namespace, name string) capturetest.Port {
	end := capturetest.Port{In: ns, Name: "eth0"}
	if ns.Name == labNamespace {
		end.Name = name
	}
	capturetest.Veth(g.t, capturetest.Port{In: g.hub, Name: name}, end)
	g.hub.IP(g.t, "link", "set", name, "master", "br0")
	return end
}

// cut has the bridge drop all that goes to and from the sensor, and by !on no
// more.
func (g *ground) cut(on bool) {
	rule := "flush chain bridge way cut\n"
	if on {
		rule += "add rule bridge way cut drop\n"
	}
	g.hub.NFT(g.t, rule)
}

// A box is a host of our own.
type box struct {
	g    *ground
	n    int // its number, and its address at first
	port capturetest.Port

	mu       sync.Mutex // guards all below
	services map[uint16]*listening
	running  sync.WaitGroup
}

// A listening is what listens at a port of a box.
type listening struct {
	listener net.Listener
	says     handler
}

// A handler speaks with one client.
type handler func(c net.Conn)

// box adds a host.
func (g *ground) box(n int) *box {
	b := &box{g: g, n: n, services: map[uint16]*listening{}}
	ns := capturetest.NewNamespace(g.t)
	b.port = g.join(ns, fmt.Sprint("box", n))
	ns.Sysctl(g.t, "net/ipv4/conf/eth0/arp_notify", "1") // who gets an address says so
	b.port.Address(g.t, boxAddr(n).String()+"/15")
	g.t.Cleanup(func() {
		for port := range b.services {
			b.stop(port)
		}
		b.running.Wait()
	})
	g.boxes[n] = b
	return b
}

// serve has a port answer, or answer otherwise than before.
func (b *box) serve(port uint16, says handler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.services[port]; s != nil {
		s.says = says
		return
	}
	s := &listening{says: says}
	b.port.In.Do(b.g.t, func() (err error) {
		s.listener, err = net.Listen("tcp4", fmt.Sprint(":", port))
		return err
	})
	b.services[port] = s
	b.running.Go(func() { b.accept(s) })
}

func (b *box) accept(s *listening) {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		says := s.says
		b.mu.Unlock()
		b.running.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(15 * time.Second))
			says(c)
		})
	}
}

// stop closes a port.
func (b *box) stop(port uint16) handler {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.services[port]
	delete(b.services, port)
	_ = s.listener.Close()
	return s.says
}

// power takes a host off the network, or puts it back.
func (b *box) power(on bool) {
	end := capturetest.Port{In: b.g.hub, Name: fmt.Sprint("box", b.n)}
	if on {
		end.Up(b.g.t)
	} else {
		end.Down(b.g.t)
	}
}

// readdress gives a host another address for the one that it has.
func (b *box) readdress(from, to netip.Addr) {
	b.port.In.IP(b.g.t, "address", "del", from.String()+"/15", "dev", b.port.Name)
	b.port.Address(b.g.t, to.String()+"/15")
}

// rules has the host's own filter be these, or none.
func (b *box) rules(lines ...string) {
	b.port.In.NFT(b.g.t, "table ip own\ndelete table ip own\n")
	if len(lines) > 0 {
		b.port.In.NFT(b.g.t, "table ip own {\n"+strings.Join(lines, "\n")+"\n}\n")
	}
}
