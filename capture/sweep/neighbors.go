package sweep

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"

	"sonde/capture"
	"sonde/capture/onlink"
	"sonde/capture/route"
)

// NewNeighbors finds neighbours by a Finder, whose tries, waits and budget are
// its own.
func NewNeighbors(f *onlink.Finder) Neighbors { return finder{f} }

type finder struct{ f *onlink.Finder }

// Resolve is that of Neighbors. It does not wait longer than for the last
// answer.
func (n finder) Resolve(ctx context.Context, hop route.Hop, addrs []netip.Addr,
	found func(netip.Addr, [6]byte)) error {
	asking, done := context.WithCancel(ctx)
	defer done()
	left := len(addrs)
	stats, err := n.f.Sweep(asking, hop.Link.Name, capture.Plan{Addrs: newList(addrs), Seed: rand.Uint64()},
		func(h onlink.Host) {
			if h.Link != hop.Link.Index {
				return
			}
			found(h.Addr.WithZone(""), h.MAC)
			if left--; left == 0 {
				done()
			}
		})
	if left == 0 {
		return nil
	}
	if err != nil || hop.OnLink || stats.Skipped == 0 {
		return err
	}
	// A router that lies on the link by the say of its route alone.
	mac, err := n.f.Resolve(ctx, hop)
	switch {
	case err == nil:
		found(hop.Next, mac)
	case errors.Is(err, onlink.ErrUnresolved):
		return nil
	}
	return err
}

// A list is a set of addresses of a link.
type list struct {
	all    []netip.Addr
	places map[netip.Addr]uint64
}

func newList(all []netip.Addr) list {
	l := list{all, make(map[netip.Addr]uint64, len(all))}
	for i, a := range all {
		l.places[a] = uint64(i)
	}
	return l
}

func (l list) Len() uint64            { return uint64(len(l.all)) }
func (l list) At(i uint64) netip.Addr { return l.all[i] }
func (l list) Index(a netip.Addr) (uint64, bool) {
	i, ok := l.places[a]
	return i, ok
}
