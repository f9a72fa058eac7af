package capture

import (
	"context"
	"net/netip"
)

// A Neighbor is a machine on a link of ours, to which frames are sent by its
// link-layer address.
type Neighbor struct {
	Link int // index of the interface
	Addr netip.Addr
}

// Resolution is how far the kernel is with the link-layer address of a
// neighbour.
type Resolution uint8

// The resolutions.
const (
	Unknown      Resolution = iota // it has no entry
	Resolving                      // it asks
	Resolved                       // it has an address, perhaps an old one
	Unresolvable                   // it asked as often as it does, and nobody answered
)

// A NeighborTable is the state of the kernel's neighbour table of one IP
// version, which the whole machine shares.
type NeighborTable struct {
	Collect int // gc_thresh2: with more entries, old ones are dropped
	Max     int // gc_thresh3: no more entries than that
	Entries int
}

// Neighbors is what discovery must know of the links that this machine is on.
// It is safe for use by any number of goroutines.
type Neighbors interface {
	// NextHop gives the neighbour that packets to addr are handed to, which is
	// addr itself where that is on a link. It is false where nobody has to be
	// found: for own addresses, tunnels, and where there is no route.
	NextHop(addr netip.Addr) (Neighbor, bool)

	// Resolution is that of now.
	Resolution(n Neighbor) (Resolution, error)

	// Await waits while n is Resolving, and gives what became of it.
	Await(ctx context.Context, n Neighbor) (Resolution, error)

	// Table gives the state of now.
	Table(v6 bool) (NeighborTable, error)
}
