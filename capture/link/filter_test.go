package link_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"sonde/capture/frame"
	"sonde/capture/link"
)

const (
	portLo = 20000
	portHi = 20999
)

var (
	our4, host4 = netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.2")
	our6, host6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the arguments are constant
	}
	return v
}

// segment makes the packet of a TCP segment with the flags.
func segment(src, dst netip.Addr, sport, dport uint16, flags byte) []byte {
	b := make([]byte, frame.MaxHeaders)
	n := must(frame.NewSYN(src)).Put(b, &frame.Path{Medium: frame.IP}, dst, sport, dport, 1, 2, 3)
	b = b[:n]
	b[n-24+13] = flags
	return b
}

func datagram(src, dst netip.Addr, sport, dport uint16) []byte {
	b := make([]byte, 256)
	return b[:must(frame.NewUDP(src, []byte("data"))).Put(b, &frame.Path{Medium: frame.IP}, dst, sport, dport, 0)]
}

// echo makes an echo request, and turns it into another ICMP message if typ is
// not that of one.
func echo(src, dst netip.Addr, typ byte, above ...byte) []byte {
	b := make([]byte, 2048)
	b = b[:must(frame.NewEcho(src, above)).Put(b, &frame.Path{Medium: frame.IP}, dst, 1, 2, 3)]
	b[len(b)-len(above)-8] = typ
	return b
}

// options puts n bytes of options into an IPv4 packet.
func options(b []byte, n int) []byte {
	b = slices.Concat(b[:20], make([]byte, n), b[20:])
	b[0] += byte(n / 4)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// fragment sets the fragment field of an IPv4 packet.
func fragment(b []byte, field uint16) []byte {
	b = slices.Clone(b)
	binary.BigEndian.PutUint16(b[6:], field)
	return b
}

// extended puts extension headers behind the IPv6 header, in their order. Each
// has 16 bytes but that of a fragment, whose offset is given.
func extended(b []byte, offset uint16, types ...byte) []byte {
	next := b[6]
	rest := b[40:]
	for _, typ := range slices.Backward(types) {
		h := make([]byte, 16)
		h[1] = 1
		if typ == 44 {
			h = []byte{0, 0, byte(offset >> 8), byte(offset), 0, 0, 0, 1}
		}
		h[0] = next
		next, rest = typ, slices.Concat(h, rest)
	}
	b = slices.Concat(b[:40], rest)
	b[6] = next
	binary.BigEndian.PutUint16(b[4:], uint16(len(rest)))
	return b
}

// onEthernet puts an Ethernet header in front of a packet, with a VLAN tag
// where tagged: as a card leaves it that does not take tags out.
func onEthernet(b []byte, tagged bool) []byte {
	h := make([]byte, 12)
	if tagged {
		h = append(h, 0x81, 0, 0, 10)
	}
	if b[0]>>4 == 6 {
		return slices.Concat(h, []byte{0x86, 0xdd}, b)
	}
	return slices.Concat(h, []byte{8, 0}, b)
}

// passes runs the filter on a frame.
func passes(t *testing.T, f link.Filter, m link.Medium, b []byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(f(m))
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(b)
	if err != nil {
		t.Fatal(err)
	}
	if n != 0 && n < len(b) {
		t.Errorf("keeps %d of %d bytes", n, len(b))
	}
	return n != 0
}

type packetCase struct {
	name   string
	packet []byte
	want   bool
}

// check runs a filter on packets of both media.
func check(t *testing.T, f link.Filter, cases []packetCase) {
	t.Helper()
	for _, c := range cases {
		if got := passes(t, f, link.IP, c.packet); got != c.want {
			t.Errorf("%s: passes %v, want %v", c.name, got, c.want)
		}
		if got := passes(t, f, link.Ethernet, onEthernet(c.packet, false)); got != c.want {
			t.Errorf("%s on Ethernet: passes %v, want %v", c.name, got, c.want)
		}
		if passes(t, f, link.Ethernet, onEthernet(c.packet, true)) {
			t.Errorf("%s passes with a tag of another VLAN", c.name)
		}
	}
}

func TestSweepFilter(t *testing.T) {
	const synAck, rst, ack = frame.FlagSYN | frame.FlagACK, frame.FlagRST, frame.FlagACK
	sent4, sent6 := segment(our4, host4, portLo, 80, frame.FlagSYN), segment(our6, host6, portLo, 80, frame.FlagSYN)
	query4, query6 := datagram(our4, host4, portHi, 53), datagram(our6, host6, portHi, 53)
	other4, other6 := datagram(our4, host4, portHi+1, 53), datagram(our6, host6, portLo-1, 53)
	six := segment(host6, our6, 80, portLo, synAck)
	check(t, link.SweepFilter(portLo, portHi), []packetCase{
		{"SYN-ACK to the first port", segment(host4, our4, 80, portLo, synAck), true},
		{"SYN-ACK to the last port", segment(host4, our4, 80, portHi, synAck), true},
		{"SYN-ACK below", segment(host4, our4, 80, portLo-1, synAck), false},
		{"SYN-ACK above", segment(host4, our4, 80, portHi+1, synAck), false},
		{"our own SYN", sent4, false},
		{"RST", segment(host4, our4, 80, portLo, rst), true},
		{"RST-ACK", segment(host4, our4, 80, portLo, rst|ack), true},
		{"ACK", segment(host4, our4, 80, portLo, ack), false},
		{"SYN", segment(host4, our4, 80, portLo, frame.FlagSYN), false},
		{"SYN-ACK behind options", options(segment(host4, our4, 80, portLo, synAck), 40), true},
		{"first fragment", fragment(datagram(host4, our4, 53, portLo), 0x2000), true},
		{"later fragment", fragment(datagram(host4, our4, 53, portLo), 0x2001), false},
		{"UDP", datagram(host4, our4, 53, portHi), true},
		{"UDP to another port", datagram(host4, our4, portLo, 53), false},
		{"unreachable TCP", echo(host4, our4, 3, sent4[:28]...), true},
		{"unreachable UDP", echo(host4, our4, 3, query4...), true},
		{"unreachable UDP, options in both", options(echo(host4, our4, 3, options(query4, 12)...), 8), true},
		{"unreachable UDP of another program", echo(host4, our4, 3, other4...), false},
		{"unreachable later fragment", echo(host4, our4, 3, fragment(query4, 1)...), false},
		{"time exceeded", echo(host4, our4, 11, sent4...), true},
		{"quote cut short", echo(host4, our4, 3, sent4[:20]...), false},
		{"echo unreachable", echo(host4, our4, 3, echo(our4, host4, 8)...), false},
		{"echo reply", echo(host4, our4, 0, query4...), false},
		{"other protocol", func() []byte { b := slices.Clone(query4); b[9] = 47; return b }(), false},

		{"SYN-ACK over IPv6", six, true},
		{"SYN-ACK over IPv6 to another port", segment(host6, our6, 80, portHi+1, synAck), false},
		{"our own SYN over IPv6", sent6, false},
		{"RST over IPv6", segment(host6, our6, 80, portLo, rst|ack), true},
		{"UDP over IPv6", datagram(host6, our6, 53, portHi), true},
		{"behind one extension header", extended(six, 0, 60), true},
		{"behind three extension headers", extended(six, 0, 0, 43, 60), true},
		{"behind four extension headers", extended(six, 0, 0, 43, 60, 60), false},
		{"first fragment over IPv6", extended(six, 1, 60, 44), true},
		{"later fragment over IPv6", extended(six, 9, 60, 44), false},
		{"unreachable TCP over IPv6", echo(host6, our6, 1, sent6...), true},
		{"unreachable UDP over IPv6", echo(host6, our6, 1, query6[:48]...), true},
		{"parameter problem behind an extension header", extended(echo(host6, our6, 4, query6...), 0, 0), true},
		{"unreachable UDP of another program over IPv6", echo(host6, our6, 1, other6...), false},
		{"echo unreachable over IPv6", echo(host6, our6, 1, echo(our6, host6, 128)...), false},
		{"echo reply over IPv6", echo(host6, our6, 129, query6...), false},
		{"neighbour advertisement", echo(host6, our6, 136, query6...), false},
	})
	arp := make([]byte, 64)
	n := must(frame.NewARP(host4)).Put(arp, &frame.Path{Medium: frame.Ethernet}, our4)
	if passes(t, link.SweepFilter(0, 65535), link.Ethernet, arp[:n]) {
		t.Error("ARP passes")
	}
}

func TestNeighborFilter(t *testing.T) {
	f := link.NeighborFilter()
	ping4, ping6 := echo(our4, host4, 8), echo(our6, host6, 128)
	check(t, f, []packetCase{
		{"echo reply", echo(host4, our4, 0), true},
		{"echo request", ping4, false},
		{"echo unreachable", echo(host4, our4, 3, ping4...), true},
		{"UDP unreachable", echo(host4, our4, 3, datagram(our4, host4, 1, 2)...), false},
		{"SYN-ACK", segment(host4, our4, 80, portLo, 0x12), false},
		{"echo reply over IPv6", echo(host6, our6, 129), true},
		{"echo request over IPv6", ping6, false},
		{"echo unreachable over IPv6", echo(host6, our6, 1, ping6...), true},
		{"UDP unreachable over IPv6", echo(host6, our6, 1, datagram(our6, host6, 1, 2)...), false},
		{"neighbour solicitation", echo(host6, our6, 135), true},
		{"neighbour advertisement", echo(host6, our6, 136), true},
		{"router advertisement", echo(host6, our6, 134), true},
		{"redirect", echo(host6, our6, 137), false},
		{"MLD report", extended(echo(host6, our6, 143), 0, 0), true},
		{"UDP over IPv6", datagram(host6, our6, 53, portLo), false},
	})
	arp := make([]byte, 64)
	n := must(frame.NewARP(host4)).Put(arp, &frame.Path{Medium: frame.Ethernet}, our4)
	if !passes(t, f, link.Ethernet, arp[:n]) {
		t.Error("ARP does not pass")
	}
	solicit := make([]byte, 128)
	n = must(frame.NewSolicit(host6)).Put(solicit, &frame.Path{Medium: frame.Ethernet}, our6)
	if !passes(t, f, link.Ethernet, solicit[:n]) {
		t.Error("a neighbour solicitation does not pass")
	}
}

// TestFiltersOnCutFrames runs the filters on frames of each length: what is
// beyond the end does not pass by chance.
func TestFiltersOnCutFrames(t *testing.T) {
	whole := onEthernet(echo(host6, our6, 1, datagram(our6, host6, portLo, 53)...), false)
	const need = 14 + 40 + 8 + 40 + 2 // to the end of the quoted source port
	for n := range whole {
		if got := passes(t, link.SweepFilter(portLo, portHi), link.Ethernet, whole[:n]); got != (n >= need) {
			t.Errorf("cut to %d bytes: passes %v", n, got)
		}
	}
}
