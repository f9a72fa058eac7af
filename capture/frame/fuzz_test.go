package frame

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// FuzzDecode looks whether what was read lies within the frame, and whether
// gopacket reads the same wherever both read a transport header.
func FuzzDecode(f *testing.F) {
	for _, c := range frameCases() {
		f.Add(c.medium == Ethernet, c.frame)
	}
	f.Fuzz(func(t *testing.T, onEthernet bool, b []byte) {
		m := IP
		if onEthernet {
			m = Ethernet
		}
		b = append(make([]byte, 0, len(b)), b...) // no room behind it
		var p Packet
		err := p.Decode(m, b)
		if len(p.Payload) > 0 {
			begin := uintptr(unsafe.Pointer(unsafe.SliceData(p.Payload))) - uintptr(unsafe.Pointer(unsafe.SliceData(b)))
			if int(begin)+len(p.Payload) > len(b) {
				t.Fatalf("payload at %d with %d of %d bytes", begin, len(p.Payload), len(b))
			}
		}
		if q := p.Quoted; q.Valid && (!q.Src.IsValid() || p.Proto != ProtoICMP && p.Proto != ProtoICMPv6) {
			t.Fatalf("quoted %+v in %+v", q, p)
		}
		if p.ND.Valid && p.HopLimit != 255 {
			t.Fatalf("%+v", p)
		}
		if err == nil && m == IP && p.EtherType == TypeIPv4 && !p.Fragment && !p.Truncated {
			compare(t, b, &p)
		}
	})
}

// compare compares with gopacket's reading of an IPv4 packet.
func compare(t *testing.T, b []byte, p *Packet) {
	ref := gopacket.NewPacket(b, layers.LayerTypeIPv4, gopacket.NoCopy)
	if l, ok := ref.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && p.Proto == ProtoTCP {
		if uint16(l.SrcPort) != p.SrcPort || uint16(l.DstPort) != p.DstPort || l.Seq != p.Seq || l.Ack != p.Ack ||
			l.RST != (p.Flags&FlagRST != 0) || l.SYN != (p.Flags&FlagSYN != 0) {
			t.Fatalf("read %+v, want %+v", p, l)
		}
	}
	if l, ok := ref.Layer(layers.LayerTypeUDP).(*layers.UDP); ok && p.Proto == ProtoUDP {
		if uint16(l.SrcPort) != p.SrcPort || uint16(l.DstPort) != p.DstPort ||
			l.Length != 0 && !bytes.Equal(l.Payload, p.Payload) {
			t.Fatalf("read %+v, want %+v", p, l)
		}
	}
}

// FuzzPut reads back what was put, and adds up its checksums the slow way.
func FuzzPut(f *testing.F) {
	f.Add([]byte{198, 18, 0, 9}, uint16(40000), uint16(80), uint32(0xffffffff), uint32(0), uint16(0xffff), []byte("abc"))
	f.Add(src6.AsSlice(), uint16(0), uint16(0), uint32(0), uint32(0), uint16(0), []byte{})
	f.Fuzz(func(t *testing.T, to []byte, sport, dport uint16, seq, ack uint32, id uint16, payload []byte) {
		dst, ok := netip.AddrFromSlice(to)
		if !ok || dst.Is4In6() || len(payload) > 1400 {
			return
		}
		src := src4
		if dst.Is6() {
			src = src6
		}
		buf := make([]byte, 2048)
		n := must[*TCP](t)(NewSYN(src)).Put(buf, path, dst, sport, dport, seq, ack, id)
		var p Packet
		if err := p.Decode(Ethernet, buf[:n]); err != nil || p.SrcPort != sport || p.DstPort != dport ||
			p.Seq != seq || p.Ack != ack || p.Dst != dst || p.Src != src || dst.Is4() && p.ID != id {
			t.Fatalf("%v: %+v", err, p)
		}
		checkSums(t, Ethernet, buf[:n])
		n = must[*UDP](t)(NewUDP(src, payload)).Put(buf, path, dst, sport, dport, id)
		if err := p.Decode(Ethernet, buf[:n]); err != nil || !bytes.Equal(p.Payload, payload) {
			t.Fatalf("%v: %+v", err, p)
		}
		checkSums(t, Ethernet, buf[:n])
	})
}

// checkSums adds up what the checksums of a frame cover.
func checkSums(t *testing.T, m Medium, b []byte) {
	t.Helper()
	if got := verify(m, b); got != 0xffff {
		t.Fatalf("transport checksum of %x adds up to %#x", b, got)
	}
	if m == Ethernet {
		b = b[14:]
	}
	if b[0]>>4 != 4 {
		return
	}
	sum := 0
	for i := 0; i < 20; i += 2 {
		sum += int(binary.BigEndian.Uint16(b[i:]))
	}
	if sum%0xffff != 0 {
		t.Fatalf("header checksum of %x adds up to %#x", b, sum)
	}
}
