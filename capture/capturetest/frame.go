//go:build linux

package capturetest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// TCP flags, as Frame has them.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// The protocols that Frame tells apart.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// A Frame is what a capture knows of one frame.
type Frame struct {
	At       time.Time
	Outgoing bool // of the interface's own host
	VLAN     uint16
	Ether    uint16 // 0x0800, 0x86dd, 0x0806 …
	SrcMAC   [6]byte
	DstMAC   [6]byte

	Src, Dst         netip.Addr // of IP, and the asker and asked of ARP
	Proto            uint8      // of IP
	SrcPort, DstPort uint16
	Flags            uint8 // of TCP
	Seq, Ack         uint32
	Type, Code       uint8      // of ICMP
	Asked            netip.Addr // of a neighbour solicitation
	TTL              uint8
	Short            bool // cut off before all that its headers promise
	BadSum           bool // an IPv4, TCP, UDP or ICMP checksum is wrong
	Payload          int  // bytes behind the TCP or UDP header
}

// A Class says whose frame it is by its form alone.
type Class string

// The classes of frames.
const (
	ClassSYN     Class = "syn"
	ClassRST     Class = "rst"
	ClassTCP     Class = "tcp" // neither a bare SYN nor a RST
	ClassUDP     Class = "udp"
	ClassEcho    Class = "echo request"
	ClassARP     Class = "arp"
	ClassND      Class = "nd"    // neighbour and router discovery
	ClassGroups  Class = "mld"   // multicast listeners, IGMP
	ClassError   Class = "error" // ICMP errors, which only kernels send here
	ClassUnknown Class = "unknown"
)

// Class is the frame's class.
func (f *Frame) Class() Class {
	switch {
	case f.Ether == 0x0806:
		return ClassARP
	case f.Proto == ProtoTCP && f.Flags&RST != 0:
		return ClassRST
	case f.Proto == ProtoTCP && f.Flags == SYN:
		return ClassSYN
	case f.Proto == ProtoTCP:
		return ClassTCP
	case f.Proto == ProtoUDP:
		return ClassUDP
	case f.Proto == 2:
		return ClassGroups
	case f.Proto == ProtoICMP && f.Type == 8, f.Proto == ProtoICMPv6 && f.Type == 128:
		return ClassEcho
	case f.Proto == ProtoICMP && (f.Type == 3 || f.Type == 11), f.Proto == ProtoICMPv6 && f.Type < 128:
		return ClassError
	case f.Proto == ProtoICMPv6 && f.Type >= 133 && f.Type <= 137:
		return ClassND
	case f.Proto == ProtoICMPv6 && (f.Type >= 130 && f.Type <= 132 || f.Type == 143):
		return ClassGroups
	}
	return ClassUnknown
}

func (f *Frame) String() string {
	way := "in"
	if f.Outgoing {
		way = "out"
	}
	return fmt.Sprintf("%s %s vlan %d %s:%d > %s:%d proto %d flags %02x icmp %d/%d asked %s",
		way, f.Class(), f.VLAN, f.Src, f.SrcPort, f.Dst, f.DstPort, f.Proto, f.Flags, f.Type, f.Code, f.Asked)
}

// parseEthernet reads a frame that begins with an Ethernet header.
func parseEthernet(b []byte) (f Frame) {
	if len(b) < 14 {
		f.Short = true
		return f
	}
	copy(f.DstMAC[:], b)
	copy(f.SrcMAC[:], b[6:])
	f.Ether = binary.BigEndian.Uint16(b[12:])
	b = b[14:]
	if f.Ether == 0x8100 && len(b) >= 4 {
		f.VLAN = binary.BigEndian.Uint16(b) & 0xfff
		f.Ether = binary.BigEndian.Uint16(b[2:])
		b = b[4:]
	}
	f.network(b)
	return f
}

// parseIP reads a packet without a link's header.
func parseIP(b []byte) (f Frame) {
	switch {
	case len(b) == 0:
		f.Short = true
	case b[0]>>4 == 4:
		f.Ether = 0x0800
	case b[0]>>4 == 6:
		f.Ether = 0x86dd
	}
	f.network(b)
	return f
}

func (f *Frame) network(b []byte) {
	switch f.Ether {
	case 0x0806:
		if f.Short = len(b) < 28; !f.Short {
			f.Src = netip.AddrFrom4([4]byte(b[14:18]))
			f.Dst = netip.AddrFrom4([4]byte(b[24:28]))
		}
	case 0x0800:
		f.ipv4(b)
	case 0x86dd:
		f.ipv6(b)
	}
}

func (f *Frame) ipv4(b []byte) {
	if len(b) < 20 || len(b) < int(b[0]&15)*4 {
		f.Short = true
		return
	}
	head := int(b[0]&15) * 4
	f.BadSum = sum(0, b[:head]) != 0xffff
	f.TTL, f.Proto = b[8], b[9]
	f.Src = netip.AddrFrom4([4]byte(b[12:16]))
	f.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total < head || total > len(b) {
		f.Short = true
		return
	}
	f.transport(b[head:total], pseudo(b[12:20], f.Proto, total-head))
}

func (f *Frame) ipv6(b []byte) {
	if len(b) < 40 {
		f.Short = true
		return
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	f.Src = netip.AddrFrom16([16]byte(b[8:24]))
	f.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	f.Proto, f.TTL = b[6], b[7]
	if 40+size > len(b) {
		f.Short = true
		return
	}
	addrs, b := b[8:40], b[40:40+size]
	for f.Proto == 0 && len(b) >= 8 && len(b) >= 8+int(b[1])*8 { // hop-by-hop, as MLD has
		f.Proto, b = b[0], b[8+int(b[1])*8:]
	}
	f.transport(b, pseudo(addrs, f.Proto, len(b)))
}

func (f *Frame) transport(b []byte, start uint32) {
	switch {
	case f.Proto == ProtoTCP && len(b) >= 20:
		f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		f.Seq, f.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		f.Flags = b[13] & 0x3f
		f.Payload = len(b) - int(b[12]>>4)*4
	case f.Proto == ProtoUDP && len(b) >= 8:
		f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		f.Payload = len(b) - 8
		if b[6] == 0 && b[7] == 0 {
			return // no checksum
		}
	case f.Proto == ProtoICMP && len(b) >= 8:
		f.Type, f.Code = b[0], b[1]
		start = 0
	case f.Proto == ProtoICMPv6 && len(b) >= 4:
		f.Type, f.Code = b[0], b[1]
		if f.Type == 135 && len(b) >= 24 {
			f.Asked = netip.AddrFrom16([16]byte(b[8:24]))
		}
	case f.Proto == ProtoTCP, f.Proto == ProtoUDP, f.Proto == ProtoICMP, f.Proto == ProtoICMPv6:
		f.Short = true
		return
	default:
		return
	}
	f.BadSum = f.BadSum || sum(start, b) != 0xffff
}

// pseudo begins the sum of a transport's checksum (RFC 9293, RFC 8200).
func pseudo(addrs []byte, proto uint8, size int) uint32 {
	return uint32(sum(uint32(proto)+uint32(size), addrs))
}

// sum is the ones' complement sum of RFC 1071, not complemented.
func sum(s uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
