package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// hopLimit is that of our packets, as common stacks send it; ndHopLimit proves
// to the receiver that no router passed the packet on (RFC 4861 section 7.1).
const (
	hopLimit   = 64
	ndHopLimit = 255
)

// A template is an IP packet whose changing fields are zero, so that each
// checksum is updated by adding the fields' new values alone: with m = 0 the
// rule of RFC 1624, HC' = ~(~HC + ~m + m'), is HC' = ~(~HC + m').
type template struct {
	packet []byte
	v6     bool
	l4     int    // where the transport header begins
	ipSum  uint32 // ~HC of the IPv4 header
	l4Sum  uint32 // ~HC of the transport header, pseudo-header and payload
	l4At   int    // where the transport checksum lies
}

// transport is a layer of gopacket whose checksum covers the IP addresses.
type transport interface {
	gopacket.SerializableLayer
	SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
}

// newTemplate builds a packet from src to the zero address. sumAt is where the
// checksum lies in what follows the IP header.
func newTemplate(src netip.Addr, proto layers.IPProtocol, hops uint8, sumAt int,
	above ...gopacket.SerializableLayer) (*template, error) {
	src = src.WithZone("")
	if !src.IsValid() || src.Is4In6() {
		return nil, fmt.Errorf("source address %v: neither IPv4 nor IPv6", src)
	}
	t := &template{v6: src.Is6(), l4: ipv4Len}
	var under gopacket.SerializableLayer
	var network gopacket.NetworkLayer
	if t.v6 {
		ip := &layers.IPv6{Version: 6, HopLimit: hops, NextHeader: proto,
			SrcIP: src.AsSlice(), DstIP: net.IPv6zero}
		under, network, t.l4 = ip, ip, ipv6Len
	} else {
		ip := &layers.IPv4{Version: 4, TTL: hops, Protocol: proto, Flags: layers.IPv4DontFragment,
			SrcIP: src.AsSlice(), DstIP: net.IPv4zero.To4()}
		under, network = ip, ip
	}
	if l, ok := above[0].(transport); ok {
		if err := l.SetNetworkLayerForChecksum(network); err != nil {
			return nil, err
		}
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	err := gopacket.SerializeLayers(buf, opts, append([]gopacket.SerializableLayer{under}, above...)...)
	if err != nil {
		return nil, err
	}
	t.packet = buf.Bytes()
	if len(t.packet) > 65535 {
		return nil, errors.New("payload too long for one packet")
	}
	t.l4At = t.l4 + sumAt
	t.l4Sum = base(t.packet[t.l4At:])
	if !t.v6 {
		t.ipSum = base(t.packet[10:])
	}
	return t, nil
}

// base is the sum that a checksum in front of b stands for.
func base(b []byte) uint32 { return uint32(^binary.BigEndian.Uint16(b)) }

// size is how long the packet is on a medium.
func (t *template) size(m Medium) int {
	if m == Ethernet {
		return etherLen + len(t.packet)
	}
	return len(t.packet)
}

// put writes the packet with its addresses into buf and finishes the IP header.
// It gives the IP packet within buf, the frame's length, and the sum of the
// destination for the transport checksum. The packet is nil if buf is too short
// or dst is of the other family.
func (t *template) put(buf []byte, p *Path, dst netip.Addr, id uint16) (pkt []byte, n int, sum uint32) {
	n = t.size(p.Medium)
	if len(buf) < n || dst.Is4() == t.v6 || !dst.IsValid() || dst.Is4In6() {
		return nil, 0, 0
	}
	if p.Medium == Ethernet {
		putEther(buf, p, dst, t.v6)
		pkt = buf[etherLen:n]
	} else {
		pkt = buf[:n]
	}
	copy(pkt, t.packet)
	if t.v6 {
		a := dst.As16()
		copy(pkt[24:40], a[:])
		return pkt, n, t.l4Sum + sum16(a[:])
	}
	a := dst.As4()
	copy(pkt[16:20], a[:])
	sum = sum16(a[:])
	binary.BigEndian.PutUint16(pkt[4:], id)
	binary.BigEndian.PutUint16(pkt[10:], finish(t.ipSum+sum+uint32(id)))
	return pkt, n, t.l4Sum + sum
}

// putEther writes the Ethernet header of an IP packet.
func putEther(buf []byte, p *Path, dst netip.Addr, v6 bool) {
	mac := p.Dst
	if dst.IsMulticast() {
		mac = MulticastMAC(dst)
	}
	copy(buf, mac[:])
	copy(buf[6:], p.Src[:])
	if v6 {
		binary.BigEndian.PutUint16(buf[12:], TypeIPv6)
	} else {
		binary.BigEndian.PutUint16(buf[12:], TypeIPv4)
	}
}

// seal writes the transport checksum of a packet whose fields sum to sum. sum
// may be that of 60,000 words of 16 bits before it overflows; ours are a dozen.
func (t *template) seal(pkt []byte, sum uint32) {
	binary.BigEndian.PutUint16(pkt[t.l4At:], finish(sum))
}

// sum16 adds the 16-bit words of b, which has an even length.
func sum16(b []byte) (sum uint32) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	return sum
}

// halves is the sum of the two words of a field of 32 bits.
func halves(v uint32) uint32 { return v>>16 + v&0xffff }

// finish folds a sum into a checksum.
func finish(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	return ^uint16(sum)
}
