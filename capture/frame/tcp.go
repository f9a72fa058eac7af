package frame

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// window is that of our SYN: what common clients offer, 44 segments of 1460
// bytes.
const window = 64240

// The largest segment that we say to take: an Ethernet frame's payload of 1500
// bytes less the IP and TCP headers.
const (
	mss4 = 1500 - ipv4Len - tcpLen
	mss6 = 1500 - ipv6Len - tcpLen
)

// TCP is the template of a TCP segment without data.
type TCP struct{ t *template }

// NewSYN makes the template of a SYN from an address. It carries one option,
// the maximum segment size: hosts exist that do not answer a SYN without any,
// and with this one it still fits the shortest Ethernet frame.
func NewSYN(src netip.Addr) (*TCP, error) {
	mss := uint16(mss4)
	if src.Is6() {
		mss = mss6
	}
	return newTCP(src, &layers.TCP{SYN: true, Window: window, Options: []layers.TCPOption{{
		OptionType:   layers.TCPOptionKindMSS,
		OptionLength: 4,
		OptionData:   binary.BigEndian.AppendUint16(nil, mss),
	}}})
}

// NewRST makes the template of a RST that ends what a SYN-ACK has begun: its
// sequence number is what the SYN-ACK acknowledged, and it acknowledges nothing
// itself (RFC 9293 section 3.5.2).
func NewRST(src netip.Addr) (*TCP, error) {
	return newTCP(src, &layers.TCP{RST: true})
}

func newTCP(src netip.Addr, l *layers.TCP) (*TCP, error) {
	t, err := newTemplate(src, layers.IPProtocolTCP, hopLimit, 16, l, gopacket.Payload(nil))
	if err != nil {
		return nil, err
	}
	return &TCP{t}, nil
}

// Len is how many bytes Put writes for a medium.
func (t *TCP) Len(m Medium) int { return t.t.size(m) }

// Put writes the segment into buf and gives its length. id is the IPv4
// identification; IPv6 has none. It is 0 if buf is shorter than Len or dst is
// not of the template's address family.
func (t *TCP) Put(buf []byte, p *Path, dst netip.Addr, sport, dport uint16,
	seq, ack uint32, id uint16) int {
	pkt, n, sum := t.t.put(buf, p, dst, id)
	if pkt == nil {
		return 0
	}
	h := pkt[t.t.l4:]
	_ = h[tcpLen-1]
	binary.BigEndian.PutUint16(h[0:], sport)
	binary.BigEndian.PutUint16(h[2:], dport)
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], ack)
	t.t.seal(pkt, sum+uint32(sport)+uint32(dport)+halves(seq)+halves(ack))
	return n
}
