package passive

import (
	"encoding/binary"
	"net/netip"
)

// Frames are put together here from annotated bytes, not by the package that
// decodes them. Checksums are zero: nobody on the receiving side of a capture
// can rely on them, as the kernel leaves them to network cards.

var (
	macA = MAC{2, 0, 0, 0, 0, 0xa}
	macB = MAC{2, 0, 0, 0, 0, 0xb}
)

func ether(kind uint16, payload []byte) []byte {
	b := append(macA[:len(macA):len(macA)], macB[:]...) // to A, from B
	b = binary.BigEndian.AppendUint16(b, kind)
	return append(b, payload...)
}

func ip4(proto byte, src, dst string, payload []byte, options ...byte) []byte {
	size := 20 + len(options)
	b := []byte{
		0x40 | byte(size/4), 0, // version, header length; DSCP
		byte((size + len(payload)) >> 8), byte(size + len(payload)),
		0, 1, 0, 0, // identification; not a fragment
		64, proto, 0, 0,
	}
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	b = append(append(b, s[:]...), d[:]...)
	return append(append(b, options...), payload...)
}

func ip6(next byte, hops byte, src, dst string, payload []byte) []byte {
	b := []byte{
		0x60, 0, 0, 0, // version, class and flow
		byte(len(payload) >> 8), byte(len(payload)), next, hops,
	}
	s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	return append(append(append(b, s[:]...), d[:]...), payload...)
}

func tcp(sport, dport uint16, seq, ack uint32, flags byte, options ...byte) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, byte((20+len(options))/4)<<4, flags, 0xff, 0xff, 0, 0, 0, 0) // window, sum, urgent
	return append(b, options...)
}

func udp(sport, dport uint16, payload ...byte) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// arp is from B; op 1 asks, 2 answers.
func arp(op byte, src, dst string) []byte {
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	b := []byte{0, 1, 8, 0, 6, 4, 0, op} // Ethernet, IPv4, their lengths
	b = append(append(b, macB[:]...), s[:]...)
	return append(append(b, 0, 0, 0, 0, 0, 0), d[:]...)
}

// nd is a neighbour's message about target, with B's address as option kind:
// 1 of the source, 2 of the target, 0 none.
func nd(kind byte, target string, option byte) []byte {
	b := []byte{kind, 0, 0, 0, 0, 0, 0, 0} // code, sum, flags
	t := netip.MustParseAddr(target).As16()
	b = append(b, t[:]...)
	if option != 0 {
		b = append(append(b, option, 1), macB[:]...)
	}
	return b
}

// mld is a report behind its hop-by-hop header with the router alert option.
func mld() []byte {
	return []byte{
		58, 0, 5, 2, 0, 0, 1, 0, // next ICMPv6; router alert, PadN
		143, 0, 0, 0, 0, 0, 0, 0, // report of version 2, no records
	}
}

const (
	host1  = "198.18.0.1"
	host2  = "198.18.0.2"
	host1s = "2001:db8::1"
	host2s = "2001:db8::2"
)
