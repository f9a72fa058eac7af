package frame

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// UDP is the template of a datagram with a payload.
type UDP struct{ t *template }

// NewUDP makes the template of a datagram from an address. The payload is
// copied. It fails if the packet would exceed 65,535 bytes; a packet that
// exceeds the link's MTU is the link's to refuse.
func NewUDP(src netip.Addr, payload []byte) (*UDP, error) {
	t, err := newTemplate(src, layers.IPProtocolUDP, hopLimit, 6,
		&layers.UDP{}, gopacket.Payload(payload))
	if err != nil {
		return nil, err
	}
	return &UDP{t}, nil
}

// Len is how many bytes Put writes for a medium.
func (u *UDP) Len(m Medium) int { return u.t.size(m) }

// Put writes the datagram into buf and gives its length. id is the IPv4
// identification; IPv6 has none. It is 0 if buf is shorter than Len or dst is
// not of the template's address family.
func (u *UDP) Put(buf []byte, p *Path, dst netip.Addr, sport, dport, id uint16) int {
	pkt, n, sum := u.t.put(buf, p, dst, id)
	if pkt == nil {
		return 0
	}
	h := pkt[u.t.l4:]
	_ = h[udpLen-1]
	binary.BigEndian.PutUint16(h[0:], sport)
	binary.BigEndian.PutUint16(h[2:], dport)
	c := finish(sum + uint32(sport) + uint32(dport))
	if c == 0 {
		c = 0xffff // zero says that there is no checksum: RFC 768, RFC 8200 section 8.1
	}
	binary.BigEndian.PutUint16(h[6:], c)
	return n
}
