package route

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A snapshot is what was read between two changes. Only the answers are filled
// in later.
type snapshot struct {
	links map[int]Interface
	order []int // indexes, ascending
	addrs []Address
	cells cells

	each      bool // too many routes for cells: nothing is kept
	multipath [2]bool
	fromRules bool // IPv4 rules look at the source address

	mu    sync.Mutex              // guards the adding of views
	views atomic.Pointer[[]*view] // copied when one is added
}

// A view holds the answers for one interface, or for all of them.
type view struct {
	via    string
	link   int // index; 0 for all
	v4, v6 []atomic.Pointer[answer]
	spare  atomic.Pointer[answer] // takes what is not kept
}

// An answer is what the kernel said about a cell. It never changes.
type answer struct {
	hop  Hop
	err  error
	each bool // holds for one address only
}

// to gives the answer for one address of its cell.
func (a *answer) to(dst netip.Addr) (Hop, error) {
	if a.err != nil {
		return Hop{}, a.err
	}
	h := a.hop
	if h.OnLink {
		h.Next = dst
	}
	return h, nil
}

// known gives the answer for dst, or nil.
func (s *snapshot) known(dst netip.Addr, via string) *answer {
	for _, v := range *s.views.Load() {
		if v.via == via {
			return v.slot(s, dst).Load()
		}
	}
	return nil
}

// slot gives the place of the answer for dst.
func (v *view) slot(s *snapshot, dst netip.Addr) *atomic.Pointer[answer] {
	switch {
	case s.each:
		return &v.spare
	case dst.Is4():
		return &v.v4[s.cells.find4(number4(dst))]
	default:
		return &v.v6[s.cells.find6(number6(dst))]
	}
}

// maxViews bounds the interfaces for which answers are kept apart: a view
// takes 8 bytes for each cell.
const maxViews = 256

// view gives the view of an interface by name or index, nil where there is no
// such interface.
func (s *snapshot) view(via string) *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := *s.views.Load()
	for _, v := range list {
		if v.via == via {
			return v
		}
	}
	v := &view{via: via}
	if via != "" {
		if v.link = s.index(via); v.link == 0 {
			return nil
		}
	}
	if !s.each {
		v.v4 = make([]atomic.Pointer[answer], len(s.cells.v4))
		v.v6 = make([]atomic.Pointer[answer], len(s.cells.v6))
	}
	if len(list) < maxViews {
		list = append(slices.Clone(list), v)
		s.views.Store(&list)
	}
	return v
}

func (s *snapshot) index(name string) int {
	for i, l := range s.links {
		if l.Name == name {
			return i
		}
	}
	if i, err := strconv.Atoi(name); err == nil { // a zone may be a number
		if _, ok := s.links[i]; ok {
			return i
		}
	}
	return 0
}

// maxRoutes bounds what is held of the kernel's routes: at 16 bytes for each
// edge of one and 8 for its answer, 100,000 IPv6 routes take 5 MiB. A router
// with the table of the internet has more: there each destination is asked for
// on its own.
const maxRoutes = 100_000

// dump reads links, addresses, rules and routes.
func dump(h *netlink.Handle) (*snapshot, error) {
	s := &snapshot{links: map[int]Interface{}}
	s.views.Store(&[]*view{})
	links, err := h.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		i := interfaceOf(l)
		s.links[i.Index] = i
		s.order = append(s.order, i.Index)
	}
	slices.Sort(s.order)
	prefixes := slices.Clone(special)
	if prefixes, err = s.addresses(h, prefixes); err != nil {
		return nil, err
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		if prefixes, err = s.rules(h, family, prefixes); err != nil {
			return nil, err
		}
		if prefixes, err = s.routes(h, family, prefixes); err != nil {
			return nil, err
		}
	}
	if !s.each {
		s.cells = newCells(prefixes)
	}
	return s, nil
}

func interfaceOf(l netlink.Link) Interface {
	a := l.Attrs()
	i := Interface{Index: a.Index, Name: a.Name, MTU: a.MTU, Medium: Other,
		Admin: a.RawFlags&unix.IFF_UP != 0,
		NoARP: a.RawFlags&unix.IFF_NOARP != 0,
		Point: a.RawFlags&unix.IFF_POINTOPOINT != 0}
	i.Up = i.Admin && a.RawFlags&unix.IFF_LOWER_UP != 0
	switch a.EncapType {
	case "ether":
		i.Medium = Ethernet
		copy(i.MAC[:], a.HardwareAddr)
	case "loopback":
		i.Medium = Loopback
	case "none", "ppp", "ipip", "tunnel", "tunnel6", "sit", "gre", "gre6", "rawip", "void":
		i.Medium = None
	}
	return i
}

func (s *snapshot) addresses(h *netlink.Handle, prefixes []netip.Prefix) ([]netip.Prefix, error) {
	list, err := h.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		p, ok := prefixOf(a.IPNet)
		if !ok {
			continue
		}
		own := Address{Link: a.LinkIndex, Prefix: p,
			Usable: a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0}
		if peer, ok := prefixOf(a.Peer); ok && peer.Addr() != p.Addr() {
			own.Peer = peer.Addr()
		}
		s.addrs = append(s.addrs, own)
		prefixes = append(prefixes, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
		if p.Addr().Is6() && !p.Addr().IsLinkLocalUnicast() {
			prefixes = truncations(p.Addr(), prefixes)
		}
	}
	return prefixes, nil
}

func (s *snapshot) rules(h *netlink.Handle, family int, prefixes []netip.Prefix) ([]netip.Prefix, error) {
	list, err := h.RuleList(family)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return prefixes, nil // a kernel without policy routing, or without IPv6
	}
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if p, ok := prefixOf(r.Dst); ok {
			prefixes = append(prefixes, p)
		}
		s.fromRules = s.fromRules || family == unix.AF_INET && r.Src != nil
	}
	return prefixes, nil
}

func (s *snapshot) routes(h *netlink.Handle, family int, prefixes []netip.Prefix) ([]netip.Prefix, error) {
	every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	n := 0
	err := h.RouteListFilteredIter(family, every, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		if n++; n > maxRoutes {
			s.each = true
			return false
		}
		if p, ok := prefixOf(r.Dst); ok {
			prefixes = append(prefixes, p)
		}
		if len(r.MultiPath) > 1 {
			s.multipath[versionOf(family)] = true
		}
		return true
	})
	if errors.Is(err, unix.EAFNOSUPPORT) {
		err = nil
	}
	return prefixes, err
}

func versionOf(family int) int {
	if family == unix.AF_INET6 {
		return 1
	}
	return 0
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ones, bits := n.Mask.Size()
	if bits == 32 || a.Is4In6() && bits == 0 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, ones), bits == a.BitLen()
}
