package frame

import (
	"fmt"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// ARP is the template of an ARP request, RFC 826. It exists on Ethernet only.
type ARP struct{ frame []byte }

// NewARP makes the template of a request by an IPv4 address of ours. The zero
// address 0.0.0.0 asks without telling who we are, as a probe of RFC 5227 does.
func NewARP(sender netip.Addr) (*ARP, error) {
	if !sender.Is4() {
		return nil, fmt.Errorf("sender address %v: not IPv4", sender)
	}
	buf := gopacket.NewSerializeBuffer()
	zero := make([]byte, 6)
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{},
		&layers.Ethernet{SrcMAC: zero, DstMAC: zero, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
			HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
			SourceHwAddress: zero, SourceProtAddress: sender.AsSlice(),
			DstHwAddress: zero, DstProtAddress: make([]byte, 4),
		})
	if err != nil {
		return nil, err
	}
	return &ARP{buf.Bytes()}, nil
}

// Len is how many bytes Put writes.
func (a *ARP) Len() int { return len(a.frame) }

// Put writes a request for who has target into buf and gives its length. It
// goes to p.Dst: [Broadcast] to find a neighbour, its own address to ask
// whether it is still there. It is 0 if buf is shorter than Len, the medium is
// not Ethernet or target is not IPv4.
func (a *ARP) Put(buf []byte, p *Path, target netip.Addr) int {
	if p.Medium != Ethernet || len(buf) < len(a.frame) || !target.Is4() {
		return 0
	}
	b := buf[:copy(buf, a.frame)]
	copy(b, p.Dst[:])
	copy(b[6:], p.Src[:])
	copy(b[etherLen+8:], p.Src[:])
	ip := target.As4()
	copy(b[etherLen+24:], ip[:])
	return len(b)
}

// Solicit is the template of a neighbour solicitation, RFC 4861 section 4.3.
type Solicit struct{ t *template }

// Where the changing fields of a solicitation lie in its ICMPv6 message.
const (
	solicitTarget = 8
	solicitMAC    = 26
)

// NewSolicit makes the template of a solicitation by an IPv6 address of ours,
// which the neighbour's answer goes to.
func NewSolicit(src netip.Addr) (*Solicit, error) {
	if !src.Is6() || src.Is4In6() || src.IsUnspecified() {
		return nil, fmt.Errorf("source address %v: not an IPv6 address of a host", src)
	}
	t, err := newTemplate(src, layers.IPProtocolICMPv6, ndHopLimit, 2,
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborSolicitation, 0)},
		&layers.ICMPv6NeighborSolicitation{
			TargetAddress: make([]byte, 16),
			Options: layers.ICMPv6Options{{
				Type: layers.ICMPv6OptSourceAddress, Data: make([]byte, 6),
			}},
		})
	if err != nil {
		return nil, err
	}
	return &Solicit{t}, nil
}

// Len is how many bytes Put writes.
func (s *Solicit) Len() int { return s.t.size(Ethernet) }

// Put writes a solicitation of target into buf and gives its length. It goes to
// the target's solicited-node group, p.Dst aside, and tells p.Src as our
// link-layer address. It is 0 if buf is shorter than Len, the medium is not
// Ethernet or target is not IPv6.
func (s *Solicit) Put(buf []byte, p *Path, target netip.Addr) int {
	if p.Medium != Ethernet || !target.Is6() || target.Is4In6() {
		return 0
	}
	pkt, n, sum := s.t.put(buf, p, SolicitedNode(target), 0)
	if pkt == nil {
		return 0
	}
	h := pkt[s.t.l4:]
	a := target.As16()
	copy(h[solicitTarget:], a[:])
	copy(h[solicitMAC:], p.Src[:])
	s.t.seal(pkt, sum+sum16(a[:])+sum16(p.Src[:]))
	return n
}
