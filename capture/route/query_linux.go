package route

import (
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// query asks the kernel for the way to dst. What the kernel says against it is
// in the answer; the error is that it could not be asked.
func (t *Table) query(s *snapshot, dst netip.Addr, v *view) (*answer, error) {
	if v.link != 0 && !s.links[v.link].Admin {
		return &answer{err: ErrDown}, nil
	}
	if dst.Is6() && dst.IsLinkLocalUnicast() && v.link == 0 {
		return &answer{err: ErrNoZone}, nil
	}
	a := &answer{each: s.each}
	err := t.ask(func() error {
		if v.link != 0 || s.multipath[versionOf(familyOf(dst))] {
			paths, err := t.matched(dst, v.link)
			if err != nil {
				return err
			}
			a.each = a.each || paths > 1
		}
		r, err := t.lookup(dst, v.link, netip.Addr{})
		if err == nil {
			a.hop, err = s.hop(dst, r, v.link)
		}
		if err != nil || !s.fromRules || dst.Is6() || a.hop.Local {
			return err
		}
		// The kernel's connect looks again once it has a source address.
		if r, err = t.lookup(dst, v.link, a.hop.Src); err == nil {
			r.Src = a.hop.Src.AsSlice() // not told again
			a.hop, err = s.hop(dst, r, v.link)
		}
		return err
	})
	if a.err = reason(err); a.err == nil && err != nil {
		return nil, err
	}
	return a, nil
}

// matched gives how many ways the route to dst has. It fails where only the
// wish for an interface, and no route, leads there.
func (t *Table) matched(dst netip.Addr, link int) (int, error) {
	list, err := t.handle.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{OifIndex: link, FIBMatch: true})
	switch {
	case errors.Is(err, unix.EHOSTUNREACH):
		return 0, ErrNoRoute
	case err != nil || len(list) == 0:
		return 0, err
	}
	return max(1, len(list[0].MultiPath)), nil
}

func (t *Table) lookup(dst netip.Addr, link int, src netip.Addr) (netlink.Route, error) {
	o := netlink.RouteGetOptions{OifIndex: link}
	if src.IsValid() {
		o.SrcAddr = src.AsSlice()
	}
	list, err := t.handle.RouteGetWithOptions(dst.AsSlice(), &o)
	if err != nil {
		return netlink.Route{}, err
	}
	if len(list) == 0 {
		return netlink.Route{}, ErrNoRoute
	}
	return list[0], nil
}

// hop reads a route that the kernel chose for dst.
func (s *snapshot) hop(dst netip.Addr, r netlink.Route, via int) (Hop, error) {
	switch r.Type {
	case unix.RTN_UNICAST, unix.RTN_LOCAL, unix.RTN_ANYCAST:
	case unix.RTN_UNREACHABLE:
		return Hop{}, ErrUnreachable
	case unix.RTN_BLACKHOLE:
		return Hop{}, ErrBlackhole
	case unix.RTN_PROHIBIT:
		return Hop{}, ErrProhibited
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST:
		return Hop{}, ErrNotUnicast
	default:
		return Hop{}, ErrNoRoute
	}
	h := Hop{Local: r.Type != unix.RTN_UNICAST}
	link, ok := s.links[r.LinkIndex]
	switch {
	case !ok:
		return Hop{}, ErrNoInterface
	case via != 0 && r.LinkIndex != via && !h.Local:
		return Hop{}, ErrNoRoute
	}
	h.Link = link
	h.Local = h.Local || link.Medium == Loopback
	if h.Src, ok = netip.AddrFromSlice(r.Src); !ok {
		return Hop{}, ErrNoSource
	}
	if dst.Is4() {
		h.Src = h.Src.Unmap()
	}
	h.Next, h.OnLink = gateway(r)
	if h.Local {
		h.OnLink = true
	}
	return h, nil
}

// gateway gives the router of a route, or says that there is none. A router
// may have an address of the other IP version (RFC 5549).
func gateway(r netlink.Route) (netip.Addr, bool) {
	gw := r.Gw
	if via, ok := r.Via.(*netlink.Via); ok && via != nil {
		gw = via.Addr
	}
	a, ok := netip.AddrFromSlice(gw)
	if !ok || a.IsUnspecified() {
		return netip.Addr{}, true
	}
	return a.Unmap(), false
}

// reason turns what the kernel answers about a destination into an error of
// this package; nil for what says nothing about it.
func reason(err error) error {
	for _, own := range []error{ErrNoRoute, ErrUnreachable, ErrBlackhole, ErrProhibited,
		ErrNotUnicast, ErrNoInterface, ErrDown, ErrNoSource} {
		if errors.Is(err, own) {
			return own
		}
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return nil
	}
	switch errno {
	case unix.ENETUNREACH, unix.ESRCH:
		return ErrNoRoute
	case unix.EHOSTUNREACH:
		return ErrUnreachable
	case unix.EINVAL: // the code of a blackhole; also of addresses like 0.0.0.1
		return ErrBlackhole
	case unix.EACCES:
		return ErrProhibited
	case unix.ENODEV:
		return ErrNoInterface
	case unix.ENETDOWN:
		return ErrDown
	case unix.EADDRNOTAVAIL:
		return ErrNoSource
	}
	return nil
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
