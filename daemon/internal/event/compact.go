package event

import (
	"net/netip"
	"unique"

	"sonde/probes"
)

// A Compact is a Key in 32 bytes, for whoever holds a million of them. Two are
// equal if their keys are.
type Compact struct {
	addr  [16]byte
	place unique.Handle[place]
	port  uint16
}

// A place is what many keys have in common.
type place struct {
	zone, scope string // scope is the zone of an IPv6 address
	bits        int    // 32 for IPv4, 0 for no address
	transport   probes.Transport
}

// Compact gives the key in few bytes.
func (k Key) Compact() Compact {
	return Compact{addr: k.Addr.As16(), port: k.Port,
		place: unique.Make(place{k.Zone, k.Addr.Zone(), k.Addr.BitLen(), k.Transport})}
}

// Key gives the key.
func (c Compact) Key() Key {
	p := c.place.Value()
	var a netip.Addr
	switch p.bits {
	case 32:
		a = netip.AddrFrom4([4]byte(c.addr[12:]))
	case 128:
		a = netip.AddrFrom16(c.addr).WithZone(p.scope)
	}
	return Key{Zone: p.zone, Addr: a, Transport: p.transport, Port: c.port}
}
