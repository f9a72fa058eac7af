package frame

import "testing"

func BenchmarkPut(b *testing.B) {
	syn4, syn6 := must[*TCP](b)(NewSYN(src4)), must[*TCP](b)(NewSYN(src6))
	datagram := must[*UDP](b)(NewUDP(src4, make([]byte, 32)))
	arp := must[*ARP](b)(NewARP(src4))
	buf := make([]byte, 256)
	i := uint32(0)
	for name, put := range map[string]func(){
		"SYN4": func() { i++; syn4.Put(buf, path, b4, 40000, uint16(i), i, 0, uint16(i)) },
		"SYN6": func() { i++; syn6.Put(buf, path, b6, 40000, uint16(i), i, 0, uint16(i)) },
		"UDP4": func() { i++; datagram.Put(buf, path, b4, 40000, uint16(i), uint16(i)) },
		"ARP":  func() { arp.Put(buf, path, b4) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				put()
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, f := range map[string][]byte{
		"TCP4":        ether(TypeIPv4, v4(6, 0, nil, syn)),
		"TCP6":        ether(TypeIPv6, v6(6, syn)),
		"UDP4":        ether(TypeIPv4, v4(17, 0, nil, udp)),
		"Unreachable": ether(TypeIPv4, v4(1, 0, nil, icmp(3, 3, v4(6, 0, nil, syn)))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var p Packet
			for b.Loop() {
				if err := p.Decode(Ethernet, f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
