package frame

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Echo is the template of an ICMP or ICMPv6 echo request.
type Echo struct{ t *template }

// NewEcho makes the template of an echo request from an address, ICMP for IPv4
// and ICMPv6 for IPv6. The payload is copied; it comes back in the reply.
func NewEcho(src netip.Addr, payload []byte) (*Echo, error) {
	var t *template
	var err error
	if src.Is6() {
		t, err = newTemplate(src, layers.IPProtocolICMPv6, hopLimit, 2,
			&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)},
			&layers.ICMPv6Echo{}, gopacket.Payload(payload))
	} else {
		t, err = newTemplate(src, layers.IPProtocolICMPv4, hopLimit, 2,
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)},
			gopacket.Payload(payload))
	}
	if err != nil {
		return nil, err
	}
	return &Echo{t}, nil
}

// Len is how many bytes Put writes for a medium.
func (e *Echo) Len(m Medium) int { return e.t.size(m) }

// Put writes the request into buf and gives its length. ident and seq come back
// in the reply; id is the IPv4 identification. A request to a multicast group,
// such as [AllNodes], never leaves the link. It is 0 if buf is shorter than Len
// or dst is not of the template's address family.
func (e *Echo) Put(buf []byte, p *Path, dst netip.Addr, ident, seq, id uint16) int {
	pkt, n, sum := e.t.put(buf, p, dst, id)
	if pkt == nil {
		return 0
	}
	if !e.t.v6 {
		sum = e.t.l4Sum // ICMP has no pseudo-header
	} else if dst.IsMulticast() {
		pkt[7] = 1 // the hop limit, which no checksum covers
	}
	h := pkt[e.t.l4:]
	_ = h[icmpLen-1]
	binary.BigEndian.PutUint16(h[4:], ident)
	binary.BigEndian.PutUint16(h[6:], seq)
	e.t.seal(pkt, sum+uint32(ident)+uint32(seq))
	return n
}
