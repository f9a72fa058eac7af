package frame

import (
	"encoding/binary"
	"net/netip"
)

// Types of ICMP messages, RFC 792, that are read beyond type and code.
const (
	ICMPEchoReply    = 0
	ICMPUnreachable  = 3
	ICMPQuench       = 4
	ICMPRedirect     = 5
	ICMPEcho         = 8
	ICMPTimeExceeded = 11
	ICMPBadParameter = 12
)

// Types of ICMPv6 messages, RFC 4443, RFC 4861, RFC 2710 and RFC 3810.
const (
	ICMPv6Unreachable           = 1
	ICMPv6TooBig                = 2
	ICMPv6TimeExceeded          = 3
	ICMPv6BadParameter          = 4
	ICMPv6Echo                  = 128
	ICMPv6EchoReply             = 129
	ICMPv6MLDQuery              = 130
	ICMPv6MLDReport             = 131
	ICMPv6MLDDone               = 132
	ICMPv6RouterSolicitation    = 133
	ICMPv6RouterAdvertisement   = 134
	ICMPv6NeighborSolicitation  = 135
	ICMPv6NeighborAdvertisement = 136
	ICMPv6MLDv2Report           = 143
)

// icmp4 reads an ICMP message.
func (p *Packet) icmp4(b []byte) error {
	if len(b) < icmpLen {
		return ErrTruncated
	}
	p.Type, p.Code, p.Payload = b[0], b[1], b[icmpLen:]
	switch p.Type {
	case ICMPEcho, ICMPEchoReply:
		p.EchoID, p.EchoSeq = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	case ICMPUnreachable, ICMPQuench, ICMPRedirect, ICMPTimeExceeded, ICMPBadParameter:
		h, ok := ipv4Header(p.Payload)
		p.Quoted.read(h, ok, p.Payload, ProtoICMP)
	}
	return nil
}

// icmp6 reads an ICMPv6 message.
func (p *Packet) icmp6(b []byte) error {
	if len(b) < icmpLen {
		return ErrTruncated
	}
	p.Type, p.Code, p.Payload = b[0], b[1], b[icmpLen:]
	switch p.Type {
	case ICMPv6Echo, ICMPv6EchoReply:
		p.EchoID, p.EchoSeq = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	case ICMPv6Unreachable, ICMPv6TooBig, ICMPv6TimeExceeded, ICMPv6BadParameter:
		h, ok := ipv6Header(p.Payload)
		p.Quoted.read(h, ok, p.Payload, ProtoICMPv6)
	case ICMPv6RouterSolicitation, ICMPv6RouterAdvertisement,
		ICMPv6NeighborSolicitation, ICMPv6NeighborAdvertisement:
		if p.HopLimit == ndHopLimit && p.Code == 0 && !p.Fragment {
			return p.nd(b)
		}
	}
	return nil
}

// read sets q from the quoted packet b, whose header is h. icmp is the number
// of ICMP in that family. A quote that stops short of what tells our packets
// apart (8 bytes behind the IP header, which RFC 792 and RFC 4443 promise) is
// not valid, nor is that of a later fragment.
func (q *Quoted) read(h ipHeader, ok bool, b []byte, icmp uint8) {
	if !ok || h.offset != 0 || len(b) < h.len+8 {
		return
	}
	t := b[h.len:]
	switch h.proto {
	case ProtoTCP:
		q.Seq = binary.BigEndian.Uint32(t[4:])
		fallthrough
	case ProtoUDP:
		q.SrcPort, q.DstPort = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
	case icmp:
		q.Type = t[0]
		q.EchoID, q.EchoSeq = binary.BigEndian.Uint16(t[4:]), binary.BigEndian.Uint16(t[6:])
	}
	q.Valid, q.Src, q.Dst, q.Proto = true, h.src, h.dst, h.proto
}

// Options of neighbour discovery, RFC 4861 section 4.6.
const (
	ndSourceLink = 1
	ndTargetLink = 2

	// maxNDOptions is how many options are looked at: RFC 4861 and its
	// successors define fewer for any one message.
	maxNDOptions = 16
)

// nd reads a message of neighbour discovery.
func (p *Packet) nd(b []byte) error {
	at, want := 0, byte(ndSourceLink) // where the options begin, which one is wanted
	switch p.Type {
	case ICMPv6RouterSolicitation:
		at = 8
	case ICMPv6RouterAdvertisement:
		at = 16
	default:
		at = 24
	}
	if len(b) < at {
		return ErrTruncated
	}
	nd := NDInfo{Router: p.Type == ICMPv6RouterAdvertisement}
	if at == 24 {
		nd.Target = netip.AddrFrom16([16]byte(b[8:24]))
		if nd.Target.IsMulticast() {
			return ErrMalformed // RFC 4861 sections 7.1.1 and 7.1.2
		}
	}
	if p.Type == ICMPv6NeighborAdvertisement {
		want = ndTargetLink
		nd.Router, nd.Solicited = b[4]&0x80 != 0, b[4]&0x40 != 0
	}
	opts := b[at:]
	for range maxNDOptions {
		if len(opts) < 8 {
			break
		}
		n := int(opts[1]) * 8
		if n == 0 || n > len(opts) {
			return ErrMalformed // the whole message is to be ignored then
		}
		if opts[0] == want && n == 8 {
			nd.LinkAddr, nd.HasLink = [6]byte(opts[2:8]), true
		}
		opts = opts[n:]
	}
	nd.Valid = true
	p.ND = nd
	p.Payload = b[at:]
	return nil
}
