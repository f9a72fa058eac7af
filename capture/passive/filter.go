package passive

import "golang.org/x/net/bpf"

// What the filters look for.
const (
	etherARP     = 0x0806
	etherIPv4    = 0x0800
	etherIPv6    = 0x86dd
	etherVLAN    = 0x8100
	etherService = 0x88a8 // the outer of two VLAN tags
	tagSize      = 4

	protoHopByHop = 0
	protoTCP      = 6
	protoUDP      = 17
	protoICMPv6   = 58

	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10

	mldReport1         = 131
	mldReport2         = 143
	routerSolicitation = 133
	routerAdvertise    = 134
	neighborSolicit    = 135
	neighborAdvertise  = 136

	packetHost     = 0 // <linux/if_packet.h>: to this box
	packetOutgoing = 4 // from this box
)

// How much of a frame is kept. Headers with all their options are 14 + 60 + 60
// bytes for TCP; a neighbour's message is longer only by options that are not
// read; DHCP and mDNS are whole.
const (
	snapHeaders = 192
	snapWhole   = 1 << 16
)

// handshakes is the filter of the socket for all but services' datagrams: SYN
// and SYN-ACK, ARP, ND, MLD reports, DHCP and mDNS. ether says whether frames
// have an Ethernet header.
func handshakes(ether bool, own Range) []bpf.Instruction {
	return packets(ether, snapHeaders, func(l layer) block {
		var b block
		b.add(l.when(protoTCP, tcpBegins(l, own)))
		b.add(l.when(protoUDP, chatter(l)))
		if l.six {
			b.add(l.when(protoICMPv6, icmpv6Types(l, 0, routerSolicitation, routerAdvertise, neighborSolicit, neighborAdvertise)))
			b.add(l.when(protoHopByHop, mldReports(l)))
		}
		return b
	})
}

// datagrams is the filter of the socket for UDP from and to the ports.
func datagrams(ether bool, ports []Range, own Range) []bpf.Instruction {
	return packets(ether, 0, func(l layer) block {
		var b block
		b.add(l.load(0, 2))
		b.add(among(ports, append(ownFrame(l, packetHost, 2, own), accept(snapHeaders)...)))
		b.add(l.load(2, 2))
		b.add(among(ports, append(ownFrame(l, packetOutgoing, 0, own), accept(snapHeaders)...)))
		return append(l.when(protoUDP, append(b, accept(0)...)), accept(0)...)
	})
}

// A block is instructions that end by falling off their end, or by returning.
type block []bpf.Instruction

func (b *block) add(more block) { *b = append(*b, more...) }

func accept(n uint32) block { return block{bpf.RetConstant{Val: n}} }

// equal runs body if A has the value, and else goes on behind it with A as it
// is. The long way is a jump of its own, as a conditional one reaches 255
// instructions only.
func equal(value uint32, body block) block {
	return append(block{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(body))},
	}, body...)
}

// among runs body if A lies in one of the ranges, and else goes on behind it.
func among(ranges []Range, body block) block {
	var b block
	for i, r := range ranges {
		left := uint32(len(ranges)-1-i)*3 + 1 // to body, over the last jump
		b = append(b,
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: uint32(r.Lo), SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(r.Hi), SkipTrue: 1},
			bpf.Jump{Skip: left})
	}
	return append(append(b, bpf.Jump{Skip: uint32(len(body))}), body...)
}

// A layer says where the IP header begins and which it is.
type layer struct {
	ip  uint32
	six bool
}

// packets tells IPv4 from IPv6 for body, and keeps so much of ARP. It looks
// behind one VLAN tag, as the kernel takes off one only, and only of frames
// that came in.
func packets(ether bool, arp uint32, body func(layer) block) []bpf.Instruction {
	var b block
	if ether {
		b = etherTypes(12, arp, body)
		tagged := etherTypes(12+tagSize, arp, body)
		b.add(equal(etherVLAN, append(tagged, accept(0)...)))
		b.add(equal(etherService, append(tagged, accept(0)...)))
	} else {
		b = block{bpf.LoadAbsolute{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0}}
		b.add(equal(0x40, v4(layer{}, body)))
		b.add(equal(0x60, append(body(layer{six: true}), accept(0)...)))
	}
	return append(b, accept(0)...)
}

// etherTypes looks at the type that lies at the offset, and leaves it in A if
// it is another.
func etherTypes(at, arp uint32, body func(layer) block) block {
	b := block{bpf.LoadAbsolute{Off: at, Size: 2}}
	b.add(equal(etherARP, accept(arp)))
	b.add(equal(etherIPv4, v4(layer{ip: at + 2}, body)))
	b.add(equal(etherIPv6, append(body(layer{ip: at + 2, six: true}), accept(0)...)))
	return b
}

// v4 drops fragments but the first and loads X with the header's size.
func v4(l layer, body func(layer) block) block {
	b := block{
		bpf.LoadAbsolute{Off: l.ip + 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadMemShift{Off: l.ip},
	}
	b.add(body(l))
	return append(b, accept(0)...)
}

// load loads size bytes that lie off bytes into what IP carries.
func (l layer) load(off uint32, size int) block {
	if l.six {
		return block{bpf.LoadAbsolute{Off: l.ip + 40 + off, Size: size}}
	}
	return block{bpf.LoadIndirect{Off: l.ip + off, Size: size}}
}

// when runs body for packets of the protocol.
func (l layer) when(protocol uint32, body block) block {
	off := l.ip + 9
	if l.six {
		off = l.ip + 6
	}
	return append(block{bpf.LoadAbsolute{Off: off, Size: 1}}, equal(protocol, body)...)
}

// tcpBegins takes SYN and SYN-ACK, but for those of our own sweeps.
func tcpBegins(l layer, own Range) block {
	b := l.load(13, 1)
	b = append(b, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: flagFIN | flagSYN | flagRST | flagACK})
	b.add(equal(flagSYN, append(ownFrame(l, packetOutgoing, 0, own), accept(snapHeaders)...)))
	b.add(equal(flagSYN|flagACK, append(ownFrame(l, packetHost, 2, own), accept(snapHeaders)...)))
	return append(b, accept(0)...)
}

// ownFrame drops a frame that this box sent from (packetOutgoing), or that was
// sent to this box at (packetHost), a port of our own sweeps. The direction
// keeps other hosts' use of these ports in sight. It changes A.
func ownFrame(l layer, direction, portAt uint32, own Range) block {
	if own == (Range{}) {
		return nil
	}
	inner := l.load(portAt, 2)
	inner.add(among([]Range{own}, accept(0)))
	return append(block{bpf.LoadExtension{Num: bpf.ExtType}}, equal(direction, inner)...)
}

// chatter takes DHCP of servers and clients, and mDNS.
func chatter(l layer) block {
	b := l.load(0, 2)
	b.add(among([]Range{{dhcpServerPort, dhcpClientPort}, {mdnsPort, mdnsPort}}, accept(snapWhole)))
	return append(b, accept(0)...)
}

// icmpv6Types takes messages of the types.
func icmpv6Types(l layer, at uint32, types ...uint32) block {
	b := l.load(at, 1)
	for _, t := range types {
		b.add(equal(t, accept(snapHeaders)))
	}
	return append(b, accept(0)...)
}

// mldReports takes what stands behind the hop-by-hop header of eight bytes
// that each MLD message has (RFC 3810 section 5).
func mldReports(l layer) block {
	b := l.load(0, 2)
	b.add(equal(protoICMPv6<<8, icmpv6Types(l, 8, mldReport1, mldReport2)))
	return append(b, accept(0)...)
}
