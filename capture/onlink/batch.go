package onlink

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"sonde/capture"
	"sonde/capture/route"
)

// A Resolver finds the link-layer addresses of many neighbours at once, as a
// sweep needs them.
type Resolver struct{ Finder *Finder }

// Resolve asks who has the addresses on the link of hop, whatever the routes say
// of them, and calls found once for each that answers. Calls of found do not
// overlap, and have ended when it returns; found must not call the Finder but
// for Lookup. Silence is no error: after the Finder's tries Resolve returns. It
// returns at once when all have answered, and fails as Sweep does.
func (r Resolver) Resolve(ctx context.Context, hop route.Hop, addrs []netip.Addr,
	found func(a netip.Addr, mac [6]byte)) error {
	f, name := r.Finder, hop.Link.Name
	list := addresses(slices.Clone(addrs))
	slices.SortFunc(list, netip.Addr.Compare)
	list = slices.Compact(list)
	w, err := f.newSweep(name, capture.Plan{Addrs: list, Seed: f.seed()},
		func(h Host) { found(h.Addr, h.MAC) })
	if err == nil {
		err = w.run(ctx, f, nil, func(ctx context.Context, a netip.Addr) error {
			return f.persist(ctx, &w.stats, func() (*station, error) {
				l, err := f.interfaceOf(name)
				if err != nil {
					return nil, err
				}
				s, err := f.station(l)
				if err == nil {
					w.watch(f, l)
					err = s.ask(f.sourceFor(a, hop), a, [6]byte{})
				}
				return s, err
			})
		})
	}
	if err != nil {
		return fmt.Errorf("resolve neighbours on %s: %w", name, err)
	}
	return nil
}

// sourceFor gives the address that we ask for a neighbour from: what we would
// speak to it from, else what we speak from by hop.
func (f *Finder) sourceFor(a netip.Addr, hop route.Hop) netip.Addr {
	h, err := f.cfg.Routes.Hop(a, hop.Link.Name)
	if err == nil && h.OnLink && !h.Local && h.Link.Index == hop.Link.Index {
		return h.Src
	}
	return hop.Src
}
