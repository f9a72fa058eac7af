package onlink

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/route"
)

const (
	// maxHosts bounds the addresses that one discovery remembers, against a
	// flood of invented ones: 65,536, about 4 MiB.
	maxHosts = 1 << 16

	// maxSources bounds the own addresses that all nodes are called from. Each
	// prefix of a link needs one, as nodes answer from the address that fits.
	maxSources = 16
)

// Discover finds IPv6 hosts of an interface: it calls all nodes by ICMPv6 echo
// from each of our addresses there, listens to what neighbour discovery and
// multicast listener reports show meanwhile, takes the kernel's neighbours, and
// asks each address that it saw. Those that answer are told, as Sweep tells
// them. The addresses that skip names are not asked; it may be nil.
//
// A host that answers neither all nodes nor is seen is not found: many desktop
// systems do not answer such calls.
func (f *Finder) Discover(ctx context.Context, via string, skip func(netip.Addr) bool, yield func(Host)) (Stats, error) {
	stats, seen, err := f.callAll(ctx, via)
	if err == nil {
		var more Stats
		list := addresses(seen)
		more, err = f.Sweep(ctx, via, capture.Plan{Addrs: list, Seed: f.seed(), Skip: skip}, yield)
		stats.add(more)
	}
	if err != nil {
		return stats, fmt.Errorf("discover hosts of %s: %w", via, err)
	}
	return stats, nil
}

// callAll gives the addresses that were seen on an interface, sorted.
func (f *Finder) callAll(ctx context.Context, via string) (stats Stats, list []netip.Addr, err error) {
	l, err := f.interfaceOf(via)
	if err != nil {
		return stats, nil, err
	}
	if !l.Resolves() {
		return stats, nil, ErrMedium
	}
	c := f.newCrowd(l)
	defer f.observe(l.Index, c.see)()
	known, err := f.cfg.Routes.Neighbors(l.Index)
	if err != nil {
		return stats, nil, err
	}
	for _, n := range known {
		if n.State.HasMAC() {
			c.add(n.Addr)
		}
	}
	for range f.cfg.Tries {
		for _, src := range f.sources(l) {
			if err := f.cfg.Wait(ctx, frame.AllNodes); err != nil {
				return stats, nil, err
			}
			err := f.persist(ctx, &stats, func() (*station, error) {
				now, err := f.interfaceOf(via) // it may have come back as another one
				if err != nil {
					return nil, err
				}
				s, err := f.station(now)
				if err == nil {
					err = s.ping(src, frame.AllNodes, [6]byte{}, f.identity(frame.AllNodes))
				}
				return s, err
			})
			if err != nil {
				return stats, nil, err
			}
		}
		if err := sleep(ctx, f.cfg.Retry); err != nil {
			return stats, nil, err
		}
	}
	list, stats.Ignored = c.all()
	return stats, list, nil
}

func (f *Finder) interfaceOf(name string) (route.Interface, error) {
	list, err := f.cfg.Routes.Interfaces()
	if err != nil {
		return route.Interface{}, err
	}
	for _, l := range list {
		if l.Name == name {
			return l, nil
		}
	}
	return route.Interface{}, route.ErrNoInterface
}

// sources gives our addresses on an interface that all nodes are called from:
// one of each prefix.
func (f *Finder) sources(l route.Interface) (list []netip.Addr) {
	own, err := f.cfg.Routes.Addresses()
	if err != nil {
		return nil // the next try reads them again
	}
	var prefixes []netip.Prefix
	for _, a := range own {
		p := a.Prefix.Masked()
		if a.Link != l.Index || !p.Addr().Is6() || !a.Usable || slices.Contains(prefixes, p) ||
			len(list) == maxSources {
			continue
		}
		prefixes = append(prefixes, p)
		list = append(list, a.Prefix.Addr())
	}
	return list
}

// A crowd is the addresses that were seen on an interface.
type crowd struct {
	f    *Finder
	link route.Interface
	want uint32 // what an answer to our call must bring back

	mu      sync.Mutex // guards what follows
	seen    map[netip.Addr]struct{}
	ignored uint64
}

func (f *Finder) newCrowd(l route.Interface) *crowd {
	return &crowd{f: f, link: l, want: f.identity(frame.AllNodes), seen: map[netip.Addr]struct{}{}}
}

// see takes the sender of any ICMPv6 packet that concerns the link, and what a
// neighbour says of itself.
func (c *crowd) see(_ *station, p *frame.Packet, _ time.Time) {
	if p.Proto != frame.ProtoICMPv6 {
		return
	}
	switch p.Type {
	case frame.ICMPv6EchoReply:
		if uint32(p.EchoID)<<16|uint32(p.EchoSeq) != c.want {
			return
		}
	case frame.ICMPv6NeighborAdvertisement:
		c.add(p.ND.Target)
	}
	c.add(p.Src)
}

func (c *crowd) add(a netip.Addr) {
	if !a.Is6() || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
		return
	}
	if a.IsLinkLocalUnicast() {
		a = a.WithZone(c.link.Name)
	}
	if h, err := c.f.cfg.Routes.Hop(a, c.link.Name); err != nil || h.Local || !h.OnLink {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.seen[a]; !there && len(c.seen) >= maxHosts {
		c.ignored++
		return
	}
	c.seen[a] = struct{}{}
}

func (c *crowd) all() (list []netip.Addr, ignored uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.seen {
		list = append(list, a)
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list, c.ignored
}

// addresses is a sorted list as a set.
type addresses []netip.Addr

func (l addresses) Len() uint64            { return uint64(len(l)) }
func (l addresses) At(i uint64) netip.Addr { return l[i] }
func (l addresses) Index(a netip.Addr) (uint64, bool) {
	i, ok := slices.BinarySearchFunc(l, a, netip.Addr.Compare)
	return uint64(i), ok
}
