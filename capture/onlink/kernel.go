package onlink

import (
	"context"
	"errors"
	"net/netip"

	"sonde/capture"
	"sonde/capture/route"
)

// A Kernel tells connect discovery what the kernel knows of its neighbours. It
// is a [capture.Neighbors].
type Kernel struct {
	Routes *route.Table
	Via    string // the interface that everything leaves by, if not empty
}

var _ capture.Neighbors = Kernel{}

// NextHop gives the neighbour that packets to addr are handed to.
func (k Kernel) NextHop(addr netip.Addr) (capture.Neighbor, bool) {
	h, err := k.Routes.Hop(addr, k.Via)
	if k.Via != "" && errors.Is(err, route.ErrNoRoute) {
		return k.assumed(addr)
	}
	if err != nil || h.Local || !h.Link.Resolves() {
		return capture.Neighbor{}, false
	}
	return capture.Neighbor{Link: h.Link.Index, Addr: h.Next}, true
}

// assumed gives the neighbour that the kernel looks for where a socket is bound
// to an interface by which no route leads: it takes the address to be on that
// link.
func (k Kernel) assumed(addr netip.Addr) (capture.Neighbor, bool) {
	list, err := k.Routes.Interfaces()
	if err != nil {
		return capture.Neighbor{}, false
	}
	for _, l := range list {
		if l.Name == k.Via && l.Resolves() {
			return capture.Neighbor{Link: l.Index, Addr: addr.Unmap().WithZone("")}, true
		}
	}
	return capture.Neighbor{}, false
}

// Resolution is that of now.
func (k Kernel) Resolution(n capture.Neighbor) (capture.Resolution, error) {
	got, err := k.Routes.Neighbor(n.Link, n.Addr)
	return resolution(got.State), err
}

// Await waits while n is being resolved.
func (k Kernel) Await(ctx context.Context, n capture.Neighbor) (capture.Resolution, error) {
	got, err := k.Routes.Await(ctx, n.Link, n.Addr)
	return resolution(got.State), err
}

// Table gives limits and fill of the kernel's neighbour table.
func (k Kernel) Table(v6 bool) (capture.NeighborTable, error) {
	t, err := k.Routes.Neighborhood(v6)
	return capture.NeighborTable{Collect: t.Thresh2, Max: t.Thresh3, Entries: t.Entries}, err
}

func resolution(s route.State) capture.Resolution {
	switch {
	case s.HasMAC():
		return capture.Resolved
	case s == route.Incomplete:
		return capture.Resolving
	case s == route.Failed:
		return capture.Unresolvable
	}
	return capture.Unknown
}
