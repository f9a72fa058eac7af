// Package frame builds the packets that discovery sends and reads those that
// come back.
//
// Reading never allocates, never panics and never looks beyond the bytes it was
// given: every frame is taken for hostile. What a frame says is not checked
// against what was sent; that is the business of who sent it. Checksums are not
// verified on receipt, as a packet that never left the box carries an
// unfinished one.
//
// A template ([TCP], [UDP], [Echo], [ARP], [Solicit]) is built once and never
// changes, so any number of goroutines may share it. Its Put writes one packet
// into the caller's buffer by patching the fields that differ and updating the
// checksums by the difference (RFC 1624). A [Packet] belongs to one goroutine
// at a time.
//
// No sockets here: it builds and runs on every operating system.
package frame

import (
	"errors"
	"net/netip"
)

// A Medium says what stands in front of the IP header of a frame.
type Medium uint8

// The media. Their numbers are those of link.Medium.
const (
	Ethernet Medium = 1 // a 14-byte Ethernet header
	IP       Medium = 2 // nothing: tun, PPP, tunnels, raw IP sockets
)

// Lengths in bytes.
const (
	etherLen = 14
	ipv4Len  = 20 // without options, as we send it
	ipv6Len  = 40
	tcpLen   = 20 // without options
	udpLen   = 8
	icmpLen  = 8
	arpLen   = 28 // IPv4 over Ethernet, RFC 826

	// MaxHeaders is the most that any template puts in front of its payload:
	// Ethernet, IPv6, and a TCP header with 4 bytes of options.
	MaxHeaders = etherLen + ipv6Len + tcpLen + 4
)

// EtherTypes of what is read here.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd
)

// Protocol numbers of what is read here.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// Flags of a TCP header.
const (
	FlagFIN = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
)

// Errors of Decode.
var (
	// ErrTruncated is for a frame that ends within a header.
	ErrTruncated = errors.New("frame ends within a header")

	// ErrMalformed is for a header that contradicts itself.
	ErrMalformed = errors.New("malformed header")
)

// Broadcast is the Ethernet address of all stations.
var Broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// AllNodes is the IPv6 multicast address of all nodes of a link, RFC 4291
// section 2.7.1.
var AllNodes = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1})

// A Path is how a packet gets to its next hop. VLAN tags are the kernel's work:
// what belongs into a VLAN is sent on the VLAN's own interface.
//
// Multicast packets go to the Ethernet address that belongs to their group,
// whatever Dst is.
type Path struct {
	Medium   Medium
	Src, Dst [6]byte // Ethernet addresses; not used where the medium has none
}

// MulticastMAC is the Ethernet address of a multicast group: RFC 1112 section
// 6.4 for IPv4, RFC 2464 section 7 for IPv6.
func MulticastMAC(group netip.Addr) [6]byte {
	if group.Is4() {
		a := group.As4()
		return [6]byte{0x01, 0x00, 0x5e, a[1] & 0x7f, a[2], a[3]}
	}
	a := group.As16()
	return [6]byte{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

// SolicitedNode is the multicast group that a node with the IPv6 address
// listens to for neighbour solicitations, RFC 4291 section 2.7.1.
func SolicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{
		0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15],
	})
}
