//go:build linux

package capturetest

import (
	"net"
	"net/netip"
	"testing"
)

// The addresses of the topologies. The targets lie behind, or on, the link
// between sensor and target; no interface has one of them.
var (
	Targets4 = netip.MustParsePrefix("198.18.0.0/16")
	Targets6 = netip.MustParsePrefix("2001:db8:18::/64")

	Sensor4 = netip.MustParseAddr("198.19.0.1")
	Sensor6 = netip.MustParseAddr("2001:db8:19::1")
	Target4 = netip.MustParseAddr("198.19.0.2")
	Target6 = netip.MustParseAddr("2001:db8:19::2")
)

// A Port is an interface of a namespace.
type Port struct {
	In   *Namespace
	Name string
}

// Veth joins two namespaces by one pair of interfaces, which are up.
func Veth(t testing.TB, a, b Port) {
	t.Helper()
	a.In.IP(t, "link", "add", a.Name, "type", "veth", "peer", "name", b.Name, "netns", b.In.Name)
	a.Up(t)
	b.Up(t)
}

// Up sets the interface up.
func (p Port) Up(t testing.TB) { t.Helper(); p.In.IP(t, "link", "set", p.Name, "up") }

// Down sets the interface down; its routes go with it.
func (p Port) Down(t testing.TB) { t.Helper(); p.In.IP(t, "link", "set", p.Name, "down") }

// Address adds an address of a prefix ("198.19.0.1/24").
func (p Port) Address(t testing.TB, prefix string) {
	t.Helper()
	p.In.IP(t, "address", "add", prefix, "dev", p.Name)
}

// MAC is the interface's hardware address.
func (p Port) MAC(t testing.TB) (mac [6]byte) {
	t.Helper()
	p.In.Do(t, func() error {
		i, err := net.InterfaceByName(p.Name)
		if err == nil {
			copy(mac[:], i.HardwareAddr)
		}
		return err
	})
	return mac
}

// A Pair is a sensor and a target on one link. Who scans is in Sensor, who
// answers in Target.
type Pair struct {
	Sensor, Target *Namespace
	Near, Far      Port // the link's ends at the sensor and at the target
}

// NewPair makes a pair in which the targets are told by nothing yet: call Via
// or OnLink.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{Sensor: NewNamespace(t), Target: NewNamespace(t)}
	p.Near, p.Far = Port{p.Sensor, "near"}, Port{p.Target, "far"}
	Veth(t, p.Near, p.Far)
	p.Address(t)
	return p
}

// Address gives both ends of the link their addresses.
func (p *Pair) Address(t testing.TB) {
	t.Helper()
	p.Near.Address(t, Sensor4.String()+"/24")
	p.Near.Address(t, Sensor6.String()+"/64")
	p.Far.Address(t, Target4.String()+"/24")
	p.Far.Address(t, Target6.String()+"/64")
}

// Via makes the target's own address the sensor's next hop to the targets.
func (p *Pair) Via(t testing.TB) {
	t.Helper()
	p.Sensor.IP(t, "route", "replace", Targets4.String(), "via", Target4.String())
	p.Sensor.IP(t, "-6", "route", "replace", Targets6.String(), "via", Target6.String())
}

// OnLink makes the targets neighbours of the sensor, each of which has to be
// asked for by ARP or ND. All those of IPv4 that the target serves answer ARP;
// of IPv6 only those answer ND that Far was given as addresses.
func (p *Pair) OnLink(t testing.TB) {
	t.Helper()
	p.Sensor.IP(t, "route", "replace", Targets4.String(), "dev", p.Near.Name)
	p.Sensor.IP(t, "-6", "route", "replace", Targets6.String(), "dev", p.Near.Name)
}

// Routed is a pair with a router in between, which forwards and answers with
// ICMP errors as Linux does.
type Routed struct {
	Pair
	Router      *Namespace
	Left, Right Port // the router's ends, to the sensor and to the target
}

// NewRouted makes sensor, router and target in a row.
func NewRouted(t testing.TB) *Routed {
	t.Helper()
	r := &Routed{Pair: Pair{Sensor: NewNamespace(t), Target: NewNamespace(t)}, Router: NewNamespace(t)}
	r.Near, r.Left = Port{r.Sensor, "near"}, Port{r.Router, "left"}
	r.Right, r.Far = Port{r.Router, "right"}, Port{r.Target, "far"}
	Veth(t, r.Near, r.Left)
	Veth(t, r.Right, r.Far)
	r.Near.Address(t, Sensor4.String()+"/24")
	r.Near.Address(t, Sensor6.String()+"/64")
	r.Left.Address(t, Target4.String()+"/24")
	r.Left.Address(t, Target6.String()+"/64")
	r.Right.Address(t, "198.19.1.1/24")
	r.Right.Address(t, "2001:db8:19:1::1/64")
	r.Far.Address(t, "198.19.1.2/24")
	r.Far.Address(t, "2001:db8:19:1::2/64")
	r.Router.Sysctl(t, "net/ipv4/ip_forward", "1")
	r.Router.Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	r.Via(t)
	r.Router.IP(t, "route", "add", Targets4.String(), "via", "198.19.1.2")
	r.Router.IP(t, "-6", "route", "add", Targets6.String(), "via", "2001:db8:19:1::2")
	r.Target.IP(t, "route", "add", "198.19.0.0/24", "via", "198.19.1.1")
	r.Target.IP(t, "-6", "route", "add", "2001:db8:19::/64", "via", "2001:db8:19:1::1")
	return r
}
