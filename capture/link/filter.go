package link

import "golang.org/x/net/bpf"

// SweepFilter passes the answers to a sweep that sends from the ports lo to hi:
// SYN-ACK and RST segments and UDP datagrams to these ports, and ICMP errors
// about TCP and UDP packets from them. Of fragments it passes the first.
func SweepFilter(lo, hi uint16) Filter {
	return func(m Medium) []bpf.Instruction {
		p := newProgram(m)
		p.family(drop)
		p.ipv4()
		p.match("tcp", "", 6)
		p.match("ports", "", 17)
		p.match("icmp4", drop, 1)
		p.ipv6()
		p.match("tcp", "", 6)
		p.match("ports", "", 17)
		p.jump(bpf.JumpEqual, 58, "", drop)

		p.load(0, 1) // ICMPv6: errors have the types 1 to 4
		p.jump(bpf.JumpLessThan, 1, drop, "")
		p.jump(bpf.JumpGreaterThan, 4, drop, "")
		p.load(8+6, 1) // what the quoted packet carries
		p.match("quoted6", "", 6)
		p.match("quoted6", drop, 17)
		p.label("quoted6")
		p.load(8+40, 2)
		p.within(lo, hi)

		p.label("icmp4")
		p.load(0, 1)
		p.match("error4", drop, 3, 4, 5, 11, 12)
		p.label("error4")
		p.load(8+9, 1)
		p.match("quoted4", "", 6)
		p.match("quoted4", drop, 17)
		p.label("quoted4")
		p.load(8+6, 2)
		p.jump(bpf.JumpBitsSet, 0x1fff, drop, "") // a later fragment of ours has no ports
		p.load(8, 1)
		p.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 15}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2})
		p.advance()
		p.load(8, 2)
		p.within(lo, hi)

		p.label("tcp")
		p.load(13, 1)
		p.jump(bpf.JumpBitsSet, 0x04, "ports", "") // RST
		p.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12})
		p.jump(bpf.JumpEqual, 0x12, "", drop) // SYN-ACK
		p.label("ports")
		p.load(2, 2)
		p.within(lo, hi)
		return p.end()
	}
}

// NeighborFilter passes what tells of hosts on a link and of echoes: ARP,
// neighbour discovery, reports of MLD, ICMP and ICMPv6 echo replies, and errors
// about echo requests.
func NeighborFilter() Filter {
	return func(m Medium) []bpf.Instruction {
		p := newProgram(m)
		p.family(accept)
		p.ipv4()
		p.jump(bpf.JumpEqual, 1, "", drop)
		p.load(0, 1)
		p.match(accept, "", 0)
		p.match("error4", drop, 3, 11, 12)
		p.label("error4")
		p.load(8+9, 1)
		p.jump(bpf.JumpEqual, 1, accept, drop)

		p.ipv6()
		p.jump(bpf.JumpEqual, 58, "", drop)
		p.load(0, 1)
		p.match(accept, "", 129, 131, 132, 133, 134, 135, 136, 143)
		p.match("error6", drop, 1, 2, 3, 4)
		p.label("error6")
		p.load(8+6, 1)
		p.jump(bpf.JumpEqual, 58, accept, drop)
		return p.end()
	}
}

// family goes to "v4", "v6" or, for ARP, to arp.
func (p *program) family(arp string) {
	if p.base == 0 {
		p.add(bpf.LoadAbsolute{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
		p.jump(bpf.JumpEqual, 4, "v4", "")
		p.jump(bpf.JumpEqual, 6, "v6", drop)
		return
	}
	p.add(bpf.LoadAbsolute{Off: 12, Size: 2})
	p.jump(bpf.JumpEqual, 0x0800, "v4", "")
	p.jump(bpf.JumpEqual, 0x0806, arp, "")
	p.jump(bpf.JumpEqual, 0x86dd, "v6", drop)
}

// ipv4 drops later fragments and leaves where the transport header begins in X
// and its protocol in A.
func (p *program) ipv4() {
	p.label("v4")
	p.add(bpf.LoadAbsolute{Off: p.base + 6, Size: 2})
	p.jump(bpf.JumpBitsSet, 0x1fff, drop, "")
	p.add(bpf.LoadMemShift{Off: p.base},
		bpf.LoadConstant{Dst: bpf.RegA, Val: p.base})
	p.advance()
	p.add(bpf.LoadAbsolute{Off: p.base + 9, Size: 1})
}

// maxExtensions is how many IPv6 extension headers the filters pass over. They
// cannot loop; hosts that answer us send none, MLD sends one, and a fragmented
// datagram has one more.
const maxExtensions = 3

// ipv6 does for IPv6 what ipv4 does for IPv4. What has more extension headers
// is dropped by what follows, as their numbers are no transport's.
func (p *program) ipv6() {
	p.label("v6")
	p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: p.base + 40},
		bpf.LoadAbsolute{Off: p.base + 6, Size: 1})
	for i := range maxExtensions {
		n := string(rune('1' + i))
		p.match("extension"+n, "", 0, 43, 60)
		p.jump(bpf.JumpEqual, 44, "fragment"+n, "transport"+n)

		p.label("fragment" + n)
		p.load(2, 2)
		p.jump(bpf.JumpBitsSet, 0xfff8, drop, "") // a later fragment
		p.load(0, 1)
		p.add(bpf.StoreScratch{Src: bpf.RegA}, bpf.LoadConstant{Dst: bpf.RegA, Val: 8})
		p.add(bpf.Jump{Skip: 5}) // to the end of the other way

		p.label("extension" + n)
		p.load(0, 1)
		p.add(bpf.StoreScratch{Src: bpf.RegA})
		p.load(1, 1)
		p.add(bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3})

		p.advance()
		p.add(bpf.LoadScratch{Dst: bpf.RegA})
		p.label("transport" + n)
	}
}

// within accepts where A is in lo to hi.
func (p *program) within(lo, hi uint16) {
	p.jump(bpf.JumpLessThan, uint32(lo), drop, "")
	p.jump(bpf.JumpGreaterThan, uint32(hi), drop, accept)
}
