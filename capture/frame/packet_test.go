package frame

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// header parts of frames, written out so that the decoder is not tested against
// the builder alone.
var (
	etherHead = []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
	syn       = []byte{ // 80 to 40000, seq 0x01020304, ack 0x05060708
		0, 80, 0x9c, 0x40, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x12, 0x10, 0, 0, 0, 0, 0,
	}
	udp = []byte{0, 53, 0x9c, 0x40, 0, 11, 0, 0, 'a', 'b', 'c'}
)

// v4 makes an IPv4 packet from 198.18.0.1 to .2.
func v4(proto byte, frag uint16, opts, above []byte) []byte {
	n := 20 + len(opts) + len(above)
	h := []byte{0x45 + byte(len(opts)/4), 0, byte(n >> 8), byte(n), 0x12, 0x34, byte(frag >> 8), byte(frag),
		60, proto, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2}
	return slices.Concat(h, opts, above)
}

// v6 makes an IPv6 packet from 2001:db8::1 to ::2.
func v6(next byte, above []byte) []byte {
	h := []byte{0x60, 0, 0, 0, byte(len(above) >> 8), byte(len(above)), next, 255}
	a := netip.MustParseAddr("2001:db8::1").As16()
	b := netip.MustParseAddr("2001:db8::2").As16()
	return slices.Concat(h, a[:], b[:], above)
}

// ether puts an Ethernet header with tags in front.
func ether(typ uint16, above []byte, tags ...uint16) []byte {
	b := slices.Clone(etherHead)
	for _, tag := range tags {
		b = append(b, byte(tag>>8), byte(tag), 0, 10)
	}
	return slices.Concat(b, []byte{byte(typ >> 8), byte(typ)}, above)
}

// ext makes an extension header of n times 8 bytes.
func ext(next byte, n int) []byte {
	b := make([]byte, n*8)
	b[0], b[1] = next, byte(n-1)
	return b
}

// icmp makes an ICMP message.
func icmp(typ, code byte, above ...[]byte) []byte {
	return append([]byte{typ, code, 0, 0, 0, 7, 0, 9}, slices.Concat(above...)...)
}

var (
	a4, b4 = netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.2")
	a6, b6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
)

// ip4 and ip6 are what is read of the headers that v4 and v6 make.
func ip4(proto uint8, more Packet) Packet {
	more.EtherType, more.Src, more.Dst, more.Proto = TypeIPv4, a4, b4, proto
	more.HopLimit, more.ID = 60, 0x1234
	return more
}

func ip6(proto uint8, more Packet) Packet {
	more.EtherType, more.Src, more.Dst, more.Proto, more.HopLimit = TypeIPv6, a6, b6, proto, 255
	return more
}

func tcpOf(p Packet) Packet {
	p.SrcPort, p.DstPort, p.Seq, p.Ack = 80, 40000, 0x01020304, 0x05060708
	p.Flags, p.Window = FlagSYN|FlagACK, 0x1000
	return p
}

func udpOf(p Packet) Packet {
	p.SrcPort, p.DstPort, p.Payload = 53, 40000, []byte("abc")
	return p
}

// A frameCase is a frame and what is read of it.
type frameCase struct {
	name   string
	medium Medium
	frame  []byte
	want   Packet
}

func frameCases() []frameCase {
	q4 := Quoted{Valid: true, Src: a4, Dst: b4, Proto: ProtoTCP, SrcPort: 80, DstPort: 40000, Seq: 0x01020304}
	q6 := q4
	q6.Src, q6.Dst = a6, b6
	nop := []byte{1, 1, 1, 1, 1, 1, 1, 1}
	target := b6.As16()
	link := []byte{2, 1, 2, 0, 0, 0, 0, 9}
	linkAddr := [6]byte{2, 0, 0, 0, 0, 9}
	advert := slices.Concat([]byte{136, 0, 0, 0, 0x40, 0, 0, 0}, target[:], link)
	echo := Packet{EchoID: 7, EchoSeq: 9, Payload: []byte("ping")}
	later := []byte{0, 3, 1, 2, 3, 4, 5, 6}
	cases := []frameCase{
		{"TCP", IP, v4(6, 0x4000, nil, syn), tcpOf(ip4(6, Packet{}))},
		{"TCP with IP options", IP, v4(6, 0, nop, syn), tcpOf(ip4(6, Packet{}))},
		{"UDP", IP, v4(17, 0, nil, udp), udpOf(ip4(17, Packet{}))},
		{"padding", IP, append(v4(17, 0, nil, udp), 0, 0, 0, 0), udpOf(ip4(17, Packet{}))},
		{"first fragment", IP, v4(17, 0x2000, nil, udp), udpOf(ip4(17, Packet{Fragment: true}))},
		{"later fragment", IP, v4(17, 0x0001, nil, udp), ip4(17, Packet{Fragment: true, Payload: udp})},
		{"other protocol", IP, v4(47, 0, nil, udp), ip4(47, Packet{Payload: udp})},
		{"ICMPv6 in IPv4", IP, v4(58, 0, nil, udp), ip4(58, Packet{Payload: udp})},
		{"echo reply", IP, v4(1, 0, nil, icmp(0, 0, []byte("ping"))), ip4(1, echo)},
		{"port unreachable", IP, v4(1, 0, nil, icmp(3, 3, v4(6, 0, nil, syn))),
			ip4(1, Packet{Type: 3, Code: 3, Quoted: q4, Payload: v4(6, 0, nil, syn)})},
		{"8 bytes quoted", IP, v4(1, 0, nil, icmp(3, 1, v4(6, 0, nop, syn[:8]))[:8+28+8]),
			ip4(1, Packet{Type: 3, Code: 1, Quoted: q4, Payload: v4(6, 0, nop, syn[:8])})},
		{"7 bytes quoted", IP, v4(1, 0, nil, icmp(3, 1, v4(6, 0, nil, syn[:7]))),
			ip4(1, Packet{Type: 3, Code: 1, Payload: v4(6, 0, nil, syn[:7])})},
		{"later fragment quoted", IP, v4(1, 0, nil, icmp(11, 1, v4(6, 3, nil, syn))),
			ip4(1, Packet{Type: 11, Code: 1, Payload: v4(6, 3, nil, syn)})},
		{"echo quoted", IP, v4(1, 0, nil, icmp(3, 1, v4(1, 0, nil, icmp(8, 0)))),
			ip4(1, Packet{Type: 3, Code: 1, Payload: v4(1, 0, nil, icmp(8, 0)), Quoted: Quoted{
				Valid: true, Src: a4, Dst: b4, Proto: 1, Type: 8, EchoID: 7, EchoSeq: 9}})},
		{"IPv6 quoted in ICMP", IP, v4(1, 0, nil, icmp(3, 1, v6(6, syn))),
			ip4(1, Packet{Type: 3, Code: 1, Payload: v6(6, syn)})},

		{"TCP", IP, v6(6, syn), tcpOf(ip6(6, Packet{}))},
		{"UDP", IP, v6(17, udp), udpOf(ip6(17, Packet{}))},
		{"hop-by-hop, destination and routing", IP,
			v6(0, slices.Concat(ext(60, 1), ext(43, 3), ext(6, 2), syn)), tcpOf(ip6(6, Packet{}))},
		{"first fragment", IP, v6(44, slices.Concat([]byte{17, 0, 0, 1, 1, 2, 3, 4}, udp)),
			udpOf(ip6(17, Packet{Fragment: true}))},
		{"whole datagram with a fragment header", IP, v6(44, slices.Concat([]byte{17, 0, 0, 0, 1, 2, 3, 4}, udp)),
			udpOf(ip6(17, Packet{}))},
		{"later fragment", IP, v6(44, slices.Concat([]byte{17, 0, 0, 8, 1, 2, 3, 4}, later)),
			ip6(17, Packet{Fragment: true, Payload: later})},
		{"authentication header", IP, v6(51, slices.Concat([]byte{6, 4, 0, 0}, make([]byte, 20), syn)),
			tcpOf(ip6(6, Packet{}))},
		{"no next header", IP, v6(59, udp), ip6(59, Packet{Payload: udp})},
		{"echo reply", IP, v6(58, icmp(129, 0, []byte("ping"))), ip6(58, func() Packet {
			p := echo
			p.Type = 129
			return p
		}())},
		{"port unreachable", IP, v6(58, icmp(1, 4, v6(6, syn))),
			ip6(58, Packet{Type: 1, Code: 4, Quoted: q6, Payload: v6(6, syn)})},
		{"extension headers quoted", IP, v6(58, icmp(1, 4, v6(60, slices.Concat(ext(6, 2), syn)))),
			ip6(58, Packet{Type: 1, Code: 4, Quoted: q6, Payload: v6(60, slices.Concat(ext(6, 2), syn))})},
		{"quote ends within an extension header", IP, v6(58, icmp(1, 4, v6(60, ext(6, 2)[:15]))),
			ip6(58, Packet{Type: 1, Code: 4, Payload: v6(60, ext(6, 2)[:15])})},
		{"neighbour advertisement", IP, v6(58, advert), ip6(58, Packet{Type: 136, Payload: link, ND: NDInfo{
			Valid: true, Target: b6, LinkAddr: linkAddr, HasLink: true, Solicited: true}})},
		{"advertisement of a router", IP, v6(58, slices.Concat([]byte{134, 0, 0, 0}, make([]byte, 12), []byte{1, 1}, link[2:])),
			ip6(58, Packet{Type: 134, Payload: append([]byte{1, 1}, link[2:]...), ND: NDInfo{
				Valid: true, LinkAddr: linkAddr, HasLink: true, Router: true}})},
		{"MLD report", IP, v6(0, slices.Concat([]byte{58, 0, 5, 2, 0, 0, 1, 0}, icmp(143, 0))),
			ip6(58, Packet{Type: 143})},
	}
	cases = append(cases, []frameCase{
		{"tagged", Ethernet, ether(TypeIPv4, v4(6, 0, nil, syn), 0x8100), tcpOf(ip4(6, Packet{}))},
		{"tagged twice", Ethernet, ether(TypeIPv6, v6(6, syn), 0x88a8, 0x8100), tcpOf(ip6(6, Packet{}))},
		{"tagged three times", Ethernet, ether(TypeIPv4, nil, 0x8100, 0x8100, 0x8100),
			Packet{EtherType: 0x8100, Payload: []byte{0, 10, 8, 0}}},
		{"other EtherType", Ethernet, ether(0x88cc, []byte("lldp")), Packet{EtherType: 0x88cc, Payload: []byte("lldp")}},
		{"ARP", Ethernet, ether(TypeARP, []byte{0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 198, 18, 0, 1, 2, 0, 0, 0, 0, 8, 198, 18, 0, 2}),
			Packet{EtherType: TypeARP, ARP: ARPInfo{Op: 2, SenderMAC: linkAddr, Sender: a4,
				TargetMAC: [6]byte{2, 0, 0, 0, 0, 8}, Target: b4}}},
	}...)
	for i, c := range cases {
		if c.medium == Ethernet {
			cases[i].want.DstMAC, cases[i].want.SrcMAC = [6]byte{2, 0, 0, 0, 0, 2}, [6]byte{2, 0, 0, 0, 0, 1}
		}
	}
	return cases
}

func TestDecode(t *testing.T) {
	for _, c := range frameCases() {
		var got Packet
		if err := got.Decode(c.medium, c.frame); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if d := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: got +, want -:\n%s", c.name, d)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	patch := func(b []byte, at int, v ...byte) []byte {
		b = slices.Clone(b)
		copy(b[at:], v)
		return b
	}
	na := v6(58, slices.Concat([]byte{136, 0, 0, 0, 0, 0, 0, 0}, a6.AsSlice(), []byte{2, 1, 2, 0, 0, 0, 0, 9}))
	deep := v6(0, slices.Concat(bytes.Repeat(ext(0, 1), maxExtensions), ext(6, 1), syn))
	for _, c := range []struct {
		name  string
		m     Medium
		frame []byte
		want  error
	}{
		{"nothing", IP, nil, ErrTruncated},
		{"no IP version", IP, []byte{0x50}, ErrMalformed},
		{"IPv6 by its EtherType only", Ethernet, ether(TypeIPv6, v4(6, 0, nil, slices.Concat(syn, syn))), ErrMalformed},
		{"IPv4 by its EtherType only", Ethernet, ether(TypeIPv4, v6(6, syn)), ErrMalformed},
		{"header of 16 bytes", IP, patch(v4(6, 0, nil, syn), 0, 0x44), ErrMalformed},
		{"options beyond the end", IP, patch(v4(6, 0, nil, nil), 0, 0x46), ErrTruncated},
		{"datagram shorter than its header", IP, patch(v4(6, 0, nil, syn), 2, 0, 19), ErrMalformed},
		{"TCP header of 16 bytes", IP, patch(v4(6, 0, nil, syn), 20+12, 0x40), ErrMalformed},
		{"TCP options beyond the end", IP, patch(v4(6, 0, nil, syn), 20+12, 0x60), ErrTruncated},
		{"UDP shorter than its header", IP, patch(v4(17, 0, nil, udp), 20+4, 0, 7), ErrMalformed},
		{"UDP longer than the datagram", IP, patch(v4(17, 0, nil, udp), 20+4, 0, 12), ErrMalformed},
		{"too many extension headers", IP, deep, ErrMalformed},
		{"extension header beyond the end", IP, v6(60, ext(6, 2)[:8]), ErrTruncated},
		{"option of no length", IP, patch(na, 40+25, 0), ErrMalformed},
		{"option beyond the end", IP, patch(na, 40+25, 2), ErrMalformed},
		{"multicast neighbour", IP, patch(na, 40+8, 0xff), ErrMalformed},
		{"ARP of another network", Ethernet, ether(TypeARP, make([]byte, 28)), ErrMalformed},
	} {
		var p Packet
		if err := p.Decode(c.m, c.frame); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if p.ND.Valid || p.ARP.Op != 0 || p.Flags != 0 {
			t.Errorf("%s: read %+v", c.name, p)
		}
	}
}

// TestNeighborsAreOfTheLink takes no word of a neighbour that a router may have
// passed on.
func TestNeighborsAreOfTheLink(t *testing.T) {
	b := v6(58, slices.Concat([]byte{136, 0, 0, 0, 0, 0, 0, 0}, a6.AsSlice(), []byte{2, 1, 2, 0, 0, 0, 0, 9}))
	b[7] = 254
	var p Packet
	if err := p.Decode(IP, b); err != nil || p.ND != (NDInfo{}) || p.Type != 136 {
		t.Errorf("%v: %+v", err, p)
	}
}

// TestCutFrames cuts each frame at each byte: what a cut frame says is a part of
// what the whole one said.
func TestCutFrames(t *testing.T) {
	for _, c := range frameCases() {
		for n := range c.frame {
			var p Packet
			err := p.Decode(c.medium, slices.Clip(slices.Clone(c.frame[:n])))
			if err == nil && p.Proto != 0 && !p.Truncated && c.name != "padding" {
				t.Errorf("%s, cut to %d of %d bytes: %+v", c.name, n, len(c.frame), p)
			}
			if p.SrcPort != 0 && p.SrcPort != c.want.SrcPort || p.Quoted.Valid && p.Quoted != c.want.Quoted {
				t.Errorf("%s, cut to %d bytes: %+v", c.name, n, p)
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	cases := frameCases()
	syn4, syn6 := must[*TCP](t)(NewSYN(src4)), must[*TCP](t)(NewSYN(src6))
	udp6, echo := must[*UDP](t)(NewUDP(src6, []byte("x"))), must[*Echo](t)(NewEcho(src4, nil))
	arp, nd := must[*ARP](t)(NewARP(src4)), must[*Solicit](t)(NewSolicit(src6))
	var p Packet
	buf := make([]byte, 256)
	for name, f := range map[string]func(){
		"decode": func() {
			for i := range cases {
				_ = p.Decode(cases[i].medium, cases[i].frame)
			}
		},
		"decode cut": func() {
			for i := range cases {
				_ = p.Decode(cases[i].medium, cases[i].frame[:len(cases[i].frame)-9])
			}
		},
		"put": func() {
			syn4.Put(buf, path, b4, 1, 2, 3, 4, 5)
			syn6.Put(buf, path, b6, 1, 2, 3, 4, 5)
			udp6.Put(buf, path, b6, 1, 2, 3)
			echo.Put(buf, path, b4, 1, 2, 3)
			arp.Put(buf, path, b4)
			nd.Put(buf, path, b6)
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
