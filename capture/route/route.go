// Package route answers where a packet to an address leaves this machine, as
// the kernel itself would decide at that moment: interface, source address and
// the neighbour that it is handed to.
//
// The kernel is the only authority. A [Table] asks it (RTM_GETROUTE, with all
// policy rules) once for each stretch of addresses between which no route, rule
// or address of this machine makes a difference, and forgets all answers when
// the kernel tells of a change (netlink notifications). What was lost of these
// (ENOBUFS) counts as a change. Destinations of multipath routes are asked for
// one by one, as the kernel spreads them by a hash of its own.
//
// A Table may be used by any number of goroutines, and belongs to the network
// namespace of the thread that opened it. It changes nothing in the kernel and
// needs no privilege.
//
// # Cost
//
// A [Table.Hop] that is known costs a binary search and no allocation; the
// first of a stretch one to three system calls; a change a dump of links,
// rules, addresses and routes, taken when somebody asks next.
//
// # What it cannot know
//
// Rules by mark, user, protocol or port see what RTM_GETROUTE without them
// sees; exceptions by ICMP redirect are seen for the first address of a stretch
// only.
package route

import (
	"errors"
	"net/netip"
)

// Errors of Hop: why nothing can be sent to a destination. They are returned
// as they are, so that an error costs no allocation either.
var (
	ErrNoRoute     = errors.New("no route")
	ErrUnreachable = errors.New("route of type unreachable")
	ErrBlackhole   = errors.New("route of type blackhole")
	ErrProhibited  = errors.New("route of type prohibit")
	ErrNotUnicast  = errors.New("broadcast, multicast or unspecified address")
	ErrNoInterface = errors.New("no such interface")
	ErrDown        = errors.New("interface is down")
	ErrNoZone      = errors.New("link-local address without an interface")
	ErrNoSource    = errors.New("no source address")
	ErrUnsupported = errors.New("routes are read by netlink, which this system does not have")
)

// Medium is what the frames of an interface look like.
type Medium uint8

// The media. Loopback has Ethernet headers, but sends to this machine only;
// Other has a link layer that is neither Ethernet nor none (InfiniBand).
const (
	None     Medium = iota // IP packets without a header: tun, ppp, IP tunnels
	Ethernet               // 14-byte header: Ethernet, Wi-Fi, veth, bridge, VLAN
	Loopback
	Other
)

// String gives "none", "ethernet", "loopback" or "other".
func (m Medium) String() string {
	switch m {
	case None:
		return "none"
	case Ethernet:
		return "ethernet"
	case Loopback:
		return "loopback"
	case Other:
		return "other"
	}
	return "unknown"
}

// An Interface is one network interface as it was at the last change.
type Interface struct {
	Index  int
	Name   string
	MAC    [6]byte // zero unless Medium is Ethernet
	MTU    int     // bytes of an IP packet
	Medium Medium
	Up     bool // administratively up, with a carrier
	Admin  bool // administratively up
	NoARP  bool // its neighbours are not resolved (IFF_NOARP)
	Point  bool // point-to-point
}

// Resolves says whether a neighbour on the interface needs a MAC address.
func (i *Interface) Resolves() bool { return i.Medium == Ethernet && !i.NoARP }

// A Hop is the first step of the way to a destination.
type Hop struct {
	Link   Interface
	Src    netip.Addr // what the kernel would send from
	Next   netip.Addr // the gateway, or the destination itself; without a zone
	OnLink bool       // Next is the destination: no router lies between
	Local  bool       // the destination is this machine; Link is a loopback
}

// A Span is a stretch of destinations that share their first step.
type Span struct {
	First, Last netip.Addr
	Hop         Hop // to First; Next of another one is itself where OnLink
}

// An Address is one of this machine's own.
type Address struct {
	Link   int // index
	Prefix netip.Prefix
	Peer   netip.Addr // of a point-to-point link, else zero
	Usable bool       // neither tentative nor a found duplicate
}

// State is what the kernel believes of a neighbour (NUD_*).
type State uint16

// The states, with the kernel's values (include/uapi/linux/neighbour.h). Gone
// is no entry at all.
const (
	Gone       State = 0
	Incomplete State = 0x01
	Reachable  State = 0x02
	Stale      State = 0x04
	Delay      State = 0x08
	Probe      State = 0x10
	Failed     State = 0x20
	NoARP      State = 0x40
	Permanent  State = 0x80
)

// HasMAC says whether the state comes with a link-layer address.
func (s State) HasMAC() bool { return s&(Reachable|Stale|Delay|Probe|NoARP|Permanent) != 0 }

// A Neighbor is an entry of the kernel's neighbour table.
type Neighbor struct {
	Link   int // index of the interface
	Addr   netip.Addr
	MAC    [6]byte // zero unless State.HasMAC
	State  State
	Router bool // IPv6: it says that it is a router
}

// Neighborhood is the kernel's neighbour table of one IP version. Its limits
// and Entries are of the whole machine, over all network namespaces.
type Neighborhood struct {
	Thresh1 int // below it nothing is collected
	Thresh2 int // above it entries older than 5 s are collected
	Thresh3 int // no more entries than that
	Entries int
	Fulls   uint64 // how often an entry was refused because the table was full
}
