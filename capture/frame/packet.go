package frame

import (
	"encoding/binary"
	"net/netip"
)

// A Packet is what one frame says. Decode sets all of it; what the frame does
// not have is zero.
//
// Addresses carry no zone. A Packet holds no reference to the frame but in
// Payload.
type Packet struct {
	EtherType      uint16  // behind all VLAN tags; of the IP version where there is no Ethernet
	SrcMAC, DstMAC [6]byte // Ethernet only

	Src, Dst  netip.Addr // IP
	HopLimit  uint8      // or time to live
	ID        uint16     // IPv4
	Fragment  bool       // part of a datagram: Payload is incomplete, and ports exist in the first only
	Truncated bool       // the frame ends before the datagram does: Payload is incomplete

	Proto            uint8  // what follows the IP header and its extensions
	SrcPort, DstPort uint16 // TCP and UDP
	Seq, Ack         uint32 // TCP
	Flags            uint8  // TCP
	Window           uint16 // TCP

	Type, Code      uint8  // ICMP and ICMPv6
	EchoID, EchoSeq uint16 // ICMP and ICMPv6 echo requests and replies
	Quoted          Quoted // ICMP and ICMPv6 errors

	ARP ARPInfo
	ND  NDInfo

	// Payload is what follows the last header that was read, within the
	// datagram: data of TCP and UDP, what follows the first 8 bytes of ICMP, all
	// of another protocol. It aliases the frame.
	Payload []byte
}

// Quoted is the head of the packet that an ICMP error is about. It is what the
// sender of the error claims: whoever acts on it must know it for its own.
type Quoted struct {
	Valid            bool // addresses and transport fields were all there
	Src, Dst         netip.Addr
	Proto            uint8
	SrcPort, DstPort uint16 // TCP and UDP
	Seq              uint32 // TCP
	Type             uint8  // ICMP and ICMPv6
	EchoID, EchoSeq  uint16 // ICMP and ICMPv6 echo
}

// ARPInfo is an ARP packet for IPv4 over Ethernet.
type ARPInfo struct {
	Op                   uint16 // 1 request, 2 reply; 0 if the frame is none
	SenderMAC, TargetMAC [6]byte
	Sender, Target       netip.Addr
}

// NDInfo is what a message of neighbour discovery says about a node. It is set
// only where the hop limit proves that the message is from this link (RFC 4861
// sections 6.1 and 7.1).
type NDInfo struct {
	Valid     bool
	Target    netip.Addr // solicitations and advertisements of neighbours
	LinkAddr  [6]byte    // that of the source, or, in advertisements, of the target
	HasLink   bool       // LinkAddr was told
	Solicited bool       // advertisements: an answer to a solicitation
	Router    bool       // advertisements: the node is a router
}

// maxTags is how many VLAN tags a frame may carry: one within one (802.1ad).
// What has more is not looked into.
const maxTags = 2

// Decode reads a frame. It fails with [ErrTruncated] or [ErrMalformed]; what was
// read up to there is set then. Frames of other protocols are no error.
func (p *Packet) Decode(m Medium, b []byte) error {
	*p = Packet{}
	if m == Ethernet {
		rest, err := p.ether(b)
		if err != nil {
			return err
		}
		b = rest
	} else {
		if len(b) == 0 {
			return ErrTruncated
		}
		switch b[0] >> 4 {
		case 4:
			p.EtherType = TypeIPv4
		case 6:
			p.EtherType = TypeIPv6
		default:
			return ErrMalformed
		}
	}
	switch p.EtherType {
	case TypeIPv4:
		return p.ipv4(b)
	case TypeIPv6:
		return p.ipv6(b)
	case TypeARP:
		return p.arp(b)
	}
	p.Payload = b
	return nil
}

// ether reads the Ethernet header and the tags behind it.
func (p *Packet) ether(b []byte) (rest []byte, err error) {
	if len(b) < etherLen {
		return nil, ErrTruncated
	}
	p.DstMAC, p.SrcMAC = [6]byte(b[0:6]), [6]byte(b[6:12])
	p.EtherType = binary.BigEndian.Uint16(b[12:])
	b = b[etherLen:]
	for range maxTags {
		if !isTag(p.EtherType) {
			break
		}
		if len(b) < 4 {
			return nil, ErrTruncated
		}
		p.EtherType = binary.BigEndian.Uint16(b[2:])
		b = b[4:]
	}
	return b, nil
}

// isTag says whether an EtherType announces a VLAN tag: 802.1Q, 802.1ad, and
// the number that switches used before it.
func isTag(t uint16) bool { return t == 0x8100 || t == 0x88a8 || t == 0x9100 }

// arp reads an ARP packet.
func (p *Packet) arp(b []byte) error {
	if len(b) < arpLen {
		return ErrTruncated
	}
	// Ethernet, IPv4, addresses of 6 and 4 bytes.
	if binary.BigEndian.Uint64(b)>>16 != 0x0001_0800_0604 {
		return ErrMalformed
	}
	p.ARP = ARPInfo{
		Op:        binary.BigEndian.Uint16(b[6:]),
		SenderMAC: [6]byte(b[8:14]),
		Sender:    netip.AddrFrom4([4]byte(b[14:18])),
		TargetMAC: [6]byte(b[18:24]),
		Target:    netip.AddrFrom4([4]byte(b[24:28])),
	}
	return nil
}

// transport reads the header that follows the IP headers. b is the rest of the
// datagram as far as it is there.
func (p *Packet) transport(b []byte) error {
	p.Payload = b
	switch p.Proto {
	case ProtoTCP:
		if len(b) < tcpLen {
			return ErrTruncated
		}
		off := int(b[12]>>4) * 4
		if off < tcpLen {
			return ErrMalformed
		}
		if len(b) < off {
			return ErrTruncated
		}
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		p.Flags, p.Window = b[13], binary.BigEndian.Uint16(b[14:])
		p.Payload = b[off:]
	case ProtoUDP:
		return p.udp(b)
	case ProtoICMP:
		if p.EtherType == TypeIPv4 {
			return p.icmp4(b)
		}
	case ProtoICMPv6:
		if p.EtherType == TypeIPv6 {
			return p.icmp6(b)
		}
	}
	return nil
}

// udp reads a UDP header.
func (p *Packet) udp(b []byte) error {
	if len(b) < udpLen {
		return ErrTruncated
	}
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	n := int(binary.BigEndian.Uint16(b[4:]))
	// Zero is the length of a jumbogram, and of what segmentation left to the
	// device; the datagram's length is right for both.
	if n != 0 && n < udpLen {
		return ErrMalformed
	}
	p.Payload = b[udpLen:]
	switch {
	case n == 0:
	case n <= len(b):
		p.Payload = b[udpLen:n]
	case p.Fragment || p.Truncated:
	default:
		return ErrMalformed // longer than the datagram that carries it
	}
	return nil
}
