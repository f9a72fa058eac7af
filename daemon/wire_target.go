package main

import (
	"cmp"
	"net"
	"net/netip"

	"sonde/daemon/internal/sensor"
)

// target says by which interface and neighbour an address is reached now, in
// which VLAN, and its own MAC address where it is on-link. via is the interface
// that it must be, "" for any. It asks the kernel, so it tells most right after
// the address was spoken to.
func (n *network) target(a netip.Addr, via string) (r sensor.Reach) {
	if n.routes == nil || a.IsLoopback() {
		return r
	}
	hop, err := n.routes.Hop(a.WithZone(""), cmp.Or(via, a.Zone()))
	if err != nil || hop.Local {
		return r
	}
	r.VLAN = vlanOf(hop.Link.Name)
	if !hop.Link.Resolves() {
		r.Way = hop.Link.Name
		return r
	}
	next, err := n.routes.Neighbor(hop.Link.Index, hop.Next)
	if err != nil || !next.State.HasMAC() {
		return r // half of a way would look like another one
	}
	mac := net.HardwareAddr(next.MAC[:]).String()
	if hop.OnLink {
		r.Way, r.MAC = hop.Link.Name, mac
	} else {
		r.Way = hop.Link.Name + "/" + mac
	}
	return r
}
