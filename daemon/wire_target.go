package main

import (
	"net"
	"net/netip"
)

// target says by which interface and neighbour an address is reached now, and
// its own MAC address where it is on-link; "" for what is not known. It asks the
// kernel, so it tells most right after the address was spoken to.
func (n *network) target(a netip.Addr) (way, mac string) {
	if n.routes == nil || a.IsLoopback() {
		return "", ""
	}
	hop, err := n.routes.Hop(a.WithZone(""), a.Zone())
	if err != nil || hop.Local {
		return "", ""
	}
	way = hop.Link.Name
	if !hop.Link.Resolves() {
		return way, ""
	}
	next, err := n.routes.Neighbor(hop.Link.Index, hop.Next)
	if err != nil || !next.State.HasMAC() {
		return "", "" // half of a way would look like another one
	}
	mac = net.HardwareAddr(next.MAC[:]).String()
	if !hop.OnLink {
		return way + "/" + mac, ""
	}
	return way, mac
}
