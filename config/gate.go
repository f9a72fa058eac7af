package config

import (
	"net/netip"
	"slices"

	"sonde/probes/ports"
)

// A Gate is the one place that decides whether a packet may go to an endpoint.
// It is what [Config.Scope], [Config.WatchFor] and [Config.Allowed] say of a
// configuration, made quick to ask: everything that emits asks it last. It is
// immutable; any number of goroutines may share it.
type Gate struct {
	hosts AddrSet  // in any watch
	zones [][]door // of each zone, sorted; disjoint within one
}

// A door is addresses that belong to one watch.
type door struct {
	Range
	watch *Watch
	ports ports.List
}

// Gate gives the gate of all watches.
func (c *Config) Gate() *Gate {
	byZone := map[string]int{}
	g := &Gate{}
	var all []Range
	for i := range c.Watches {
		w := &c.Watches[i]
		at, known := byZone[w.Zone]
		if !known {
			at = len(g.zones)
			byZone[w.Zone] = at
			g.zones = append(g.zones, nil)
		}
		for _, r := range c.Scope(w).ranges {
			g.zones[at] = append(g.zones[at], door{r, w, ports.List{TCP: w.TCPPorts, UDP: w.UDPPorts}})
			all = append(all, r)
		}
	}
	for _, z := range g.zones {
		slices.SortFunc(z, func(a, b door) int { return compareRanges(a.Range, b.Range) })
	}
	g.hosts = NewAddrSet(all...)
	return g
}

// Host says whether a belongs to a watch of any zone, and nothing excludes it.
func (g *Gate) Host(a netip.Addr) bool { return isHost(a.Unmap()) && g.hosts.Contains(a) }

// Overlaps says whether some address of the prefix belongs to a watch.
func (g *Gate) Overlaps(p netip.Prefix) bool {
	r := PrefixRange(p)
	return slices.ContainsFunc(g.hosts.ranges, r.Overlaps)
}

// Permits says whether a watch of any zone asks for this port of a; network is
// "tcp" or "udp".
func (g *Gate) Permits(network string, a netip.Addr, port uint16) bool {
	for _, z := range g.zones {
		if d := lookup(z, a); d != nil && d.ports.Contains(network, port) {
			return isHost(a.Unmap())
		}
	}
	return false
}

// Watches gives the watches that ask for this port of a, at most one of each
// zone.
func (g *Gate) Watches(network string, a netip.Addr, port uint16) []*Watch {
	var out []*Watch
	for _, z := range g.zones {
		if d := lookup(z, a); d != nil && d.ports.Contains(network, port) && isHost(a.Unmap()) {
			out = append(out, d.watch)
		}
	}
	return out
}

// WatchesOf gives the watches that a belongs to, at most one of each zone.
func (g *Gate) WatchesOf(a netip.Addr) []*Watch {
	var out []*Watch
	for _, z := range g.zones {
		if d := lookup(z, a); d != nil && isHost(a.Unmap()) {
			out = append(out, d.watch)
		}
	}
	return out
}

// lookup finds the door of an address: one for its interface, or one for all.
func lookup(z []door, a netip.Addr) *door {
	a = a.Unmap()
	if d := find(z, a); d != nil || a.Zone() == "" {
		return d
	}
	return find(z, a.WithZone(""))
}

func find(z []door, a netip.Addr) *door {
	i, ok := slices.BinarySearchFunc(z, a, func(d door, a netip.Addr) int {
		return compareRanges(d.Range, Range{First: a})
	})
	if !ok {
		i--
	}
	if i < 0 || !z[i].Contains(a) {
		return nil
	}
	return &z[i]
}
