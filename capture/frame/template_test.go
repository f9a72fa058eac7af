package frame

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

var (
	src4 = netip.MustParseAddr("198.18.0.1")
	src6 = netip.MustParseAddr("2001:db8::1")
	path = &Path{Medium: Ethernet, Src: [6]byte{2, 0, 0, 0, 0, 1}, Dst: [6]byte{2, 0, 0, 0, 0, 2}}
)

// must gives what a constructor made.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// reference decodes a frame by gopacket, which must find nothing wrong.
func reference(t testing.TB, m Medium, b []byte) gopacket.Packet {
	t.Helper()
	var first gopacket.Decoder = layers.LayerTypeEthernet
	if m == IP {
		first = layers.LayerTypeIPv4
		if b[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
	}
	p := gopacket.NewPacket(b, first, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("gopacket: %v of %x", e.Error(), b)
	}
	return p
}

// checkSealed compares a frame with what gopacket makes of its own reading of
// it, with all lengths and checksums computed from the start.
func checkSealed(t testing.TB, m Medium, b []byte) gopacket.Packet {
	t.Helper()
	p := reference(t, m, b)
	var again []gopacket.SerializableLayer
	for _, l := range p.Layers() {
		s, ok := l.(gopacket.SerializableLayer)
		if !ok {
			t.Fatalf("%v cannot be serialized", l.LayerType())
		}
		if c, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := c.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Fatal(err)
			}
		}
		again = append(again, s)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, again...); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes()[:len(b)], b) {
		t.Fatalf("frame differs from the reference:\n%x\n%x", b, buf.Bytes())
	}
	return p
}

// each calls f for both families and media with random destinations.
func each(t *testing.T, f func(t *testing.T, r *rand.Rand, p *Path, src, dst netip.Addr)) {
	for _, src := range []netip.Addr{src4, src6} {
		for _, m := range []Medium{Ethernet, IP} {
			r := rand.New(rand.NewPCG(1, uint64(m)))
			for range 200 {
				p := *path
				p.Medium = m
				f(t, r, &p, src, randomAddr(r, src.Is4()))
			}
		}
	}
}

func randomAddr(r *rand.Rand, v4 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	b[0] = 0x20 // no multicast
	if v4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

func TestTCP(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, p *Path, src, dst netip.Addr) {
		for name, tpl := range map[string]*TCP{
			"SYN": must[*TCP](t)(NewSYN(src)), "RST": must[*TCP](t)(NewRST(src)),
		} {
			sport, dport, seq, ack := uint16(r.Uint32()), uint16(r.Uint32()), r.Uint32(), r.Uint32()
			if name == "SYN" {
				ack = 0
			}
			buf := bytes.Repeat([]byte{0xa5}, MaxHeaders)
			n := tpl.Put(buf, p, dst, sport, dport, seq, ack, 7)
			if n != tpl.Len(p.Medium) {
				t.Fatalf("%s: put %d bytes, want %d", name, n, tpl.Len(p.Medium))
			}
			ref := checkSealed(t, p.Medium, buf[:n])
			l := ref.Layer(layers.LayerTypeTCP).(*layers.TCP)
			if uint16(l.SrcPort) != sport || uint16(l.DstPort) != dport || l.Seq != seq || l.Ack != ack ||
				l.SYN != (name == "SYN") || l.RST != (name == "RST") || l.ACK {
				t.Fatalf("%s: %+v", name, l)
			}
			if name == "SYN" && (len(l.Options) != 1 || l.Options[0].OptionType != layers.TCPOptionKindMSS) {
				t.Fatalf("options %v", l.Options)
			}
			if f := ref.NetworkLayer().NetworkFlow(); f.Dst().String() != dst.String() || f.Src().String() != src.String() {
				t.Fatalf("%s: flow %v, want to %v", name, f, dst)
			}
			checkEthernet(t, ref, p, p.Dst)
		}
	})
}

// checkEthernet compares the Ethernet header, if there is one.
func checkEthernet(t *testing.T, ref gopacket.Packet, p *Path, dst [6]byte) {
	t.Helper()
	if p.Medium == IP {
		return
	}
	e := ref.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if [6]byte(e.SrcMAC) != p.Src || [6]byte(e.DstMAC) != dst {
		t.Fatalf("from %v to %v, want from %x to %x", e.SrcMAC, e.DstMAC, p.Src, dst)
	}
}

func TestUDP(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, p *Path, src, dst netip.Addr) {
		payload := bytes.Repeat([]byte{0xc3}, r.IntN(64))
		u := must[*UDP](t)(NewUDP(src, payload))
		sport, dport := uint16(r.Uint32()), uint16(r.Uint32())
		dport = dport&^63 | 9 // a port that gopacket has no decoder for
		buf := bytes.Repeat([]byte{0xa5}, MaxHeaders+len(payload))
		n := u.Put(buf, p, dst, sport, dport, uint16(r.Uint32()))
		var got Packet
		if err := got.Decode(p.Medium, buf[:n]); err != nil {
			t.Fatal(err)
		}
		if got.Src != src || got.Dst != dst || got.SrcPort != sport || got.DstPort != dport ||
			!bytes.Equal(got.Payload, payload) {
			t.Fatalf("%+v", got)
		}
		checkSums(t, p.Medium, buf[:n])
	})
}

// verify adds up all that the transport checksum covers, itself included: it is
// right if this gives 0xffff (RFC 1071). It is written out plainly, apart from
// the code under test.
func verify(m Medium, b []byte) uint16 {
	if m == Ethernet {
		b = b[14:]
	}
	var pseudo []byte
	var proto byte
	if b[0]>>4 == 4 {
		pseudo, proto, b = append(pseudo, b[12:20]...), b[9], b[20:]
	} else {
		pseudo, proto, b = append(pseudo, b[8:40]...), b[6], b[40:]
	}
	pseudo = append(pseudo, 0, proto, byte(len(b)>>8), byte(len(b)))
	if proto == ProtoICMP {
		pseudo = nil
	}
	b = append(pseudo, b...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	sum := 0
	for i := 0; i < len(b); i += 2 {
		sum += int(b[i])<<8 + int(b[i+1])
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

// TestUDPZeroChecksum finds the datagram whose checksum computes to zero, which
// has to be sent as 0xffff: zero would mean none, and IPv6 drops it.
func TestUDPZeroChecksum(t *testing.T) {
	for _, src := range []netip.Addr{src4, src6} {
		u := must[*UDP](t)(NewUDP(src, []byte("odd")))
		buf := make([]byte, 128)
		found := 0
		for sport := range 1 << 16 {
			n := u.Put(buf, &Path{Medium: IP}, src.Next(), uint16(sport), 53, 0)
			c := binary.BigEndian.Uint16(buf[u.t.l4At:])
			if c == 0 || verify(IP, buf[:n]) != 0xffff {
				t.Fatalf("%v port %d: checksum %#x", src, sport, c)
			}
			if c == 0xffff {
				found++
			}
		}
		if found == 0 {
			t.Errorf("%v: no datagram has the checksum 0xffff", src)
		}
	}
}

func TestEcho(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, p *Path, src, dst netip.Addr) {
		e := must[*Echo](t)(NewEcho(src, []byte("who is there?")))
		buf := bytes.Repeat([]byte{0xa5}, 128)
		n := e.Put(buf, p, dst, 0xabcd, uint16(r.Uint32()), 9)
		checkSums(t, p.Medium, buf[:n])
		var got Packet
		if err := got.Decode(p.Medium, buf[:n]); err != nil || got.EchoID != 0xabcd || got.Dst != dst ||
			string(got.Payload) != "who is there?" || got.HopLimit != 64 {
			t.Fatalf("%+v: %v", got, err)
		}
	})
}

func TestEchoToAllNodes(t *testing.T) {
	e := must[*Echo](t)(NewEcho(netip.MustParseAddr("fe80::1%eth0"), nil))
	buf := make([]byte, 128)
	n := e.Put(buf, path, AllNodes, 1, 2, 0)
	ref := checkSealed(t, Ethernet, buf[:n])
	checkEthernet(t, ref, path, [6]byte{0x33, 0x33, 0, 0, 0, 1})
	ip := ref.NetworkLayer().(*layers.IPv6)
	if ip.HopLimit != 1 || ip.DstIP.String() != "ff02::1" || ip.SrcIP.String() != "fe80::1" {
		t.Errorf("%+v", ip)
	}
}

func TestARP(t *testing.T) {
	a := must[*ARP](t)(NewARP(src4))
	buf := bytes.Repeat([]byte{0xa5}, 64)
	p := *path
	p.Dst = Broadcast
	n := a.Put(buf, &p, src4.Next())
	ref := checkSealed(t, Ethernet, buf[:n])
	checkEthernet(t, ref, &p, Broadcast)
	var got Packet
	if err := got.Decode(Ethernet, buf[:n]); err != nil {
		t.Fatal(err)
	}
	want := ARPInfo{Op: 1, SenderMAC: p.Src, Sender: src4, Target: src4.Next()}
	if got.ARP != want || n != a.Len() {
		t.Errorf("%+v, want %+v", got.ARP, want)
	}
}

func TestSolicit(t *testing.T) {
	s := must[*Solicit](t)(NewSolicit(src6))
	target := netip.MustParseAddr("2001:db8::aa:bbcc:ddee")
	buf := bytes.Repeat([]byte{0xa5}, 128)
	n := s.Put(buf, path, target)
	ref := reference(t, Ethernet, buf[:n])
	checkEthernet(t, ref, path, [6]byte{0x33, 0x33, 0xff, 0xcc, 0xdd, 0xee})
	if verify(Ethernet, buf[:n]) != 0xffff {
		t.Errorf("checksum of %x", buf[:n])
	}
	var got Packet
	if err := got.Decode(Ethernet, buf[:n]); err != nil {
		t.Fatal(err)
	}
	want := NDInfo{Valid: true, Target: target, LinkAddr: path.Src, HasLink: true}
	if got.ND != want || got.HopLimit != 255 || got.Dst.String() != "ff02::1:ffcc:ddee" || n != s.Len() {
		t.Errorf("%+v", got)
	}
}

func TestPutRefuses(t *testing.T) {
	syn4, syn6 := must[*TCP](t)(NewSYN(src4)), must[*TCP](t)(NewSYN(src6))
	arp, solicit := must[*ARP](t)(NewARP(src4)), must[*Solicit](t)(NewSolicit(src6))
	mapped := netip.AddrFrom16(src4.As16())
	buf := make([]byte, MaxHeaders)
	put := func(s *TCP, buf []byte, dst netip.Addr) int { return s.Put(buf, path, dst, 1, 2, 3, 0, 0) }
	for name, n := range map[string]int{
		"short buffer":            put(syn4, buf[:syn4.Len(Ethernet)-1], src4),
		"IPv6 destination":        put(syn4, buf, src6),
		"IPv4 destination":        put(syn6, buf, src4),
		"mapped destination":      put(syn6, buf, mapped),
		"no destination":          put(syn6, buf, netip.Addr{}),
		"no destination of IPv4":  put(syn4, buf, netip.Addr{}),
		"ARP for IPv6":            arp.Put(buf, path, src6),
		"ARP without Ethernet":    arp.Put(buf, &Path{Medium: IP}, src4),
		"ND for IPv4":             solicit.Put(buf, path, src4),
		"ND without Ethernet":     solicit.Put(buf, &Path{Medium: IP}, src6),
		"ND with a short buffer":  solicit.Put(buf[:60], path, src6),
		"ARP with a short buffer": arp.Put(buf[:41], path, src4),
	} {
		if n != 0 {
			t.Errorf("%s: put %d bytes", name, n)
		}
	}
	for _, a := range []netip.Addr{{}, mapped} {
		if _, err := NewSYN(a); err == nil {
			t.Errorf("a template from %v was made", a)
		}
	}
	if _, err := NewUDP(src4, make([]byte, 65535-27)); err == nil {
		t.Error("a datagram of 65,536 bytes was made")
	}
}

// TestTemplateIsShared puts from several goroutines; the race detector looks on.
func TestTemplateIsShared(t *testing.T) {
	syn := must[*TCP](t)(NewSYN(src6))
	one := make([]byte, MaxHeaders)
	syn.Put(one, path, src6, 1, 2, 3, 0, 0)
	done := make(chan bool)
	for range 4 {
		go func() {
			buf := make([]byte, MaxHeaders)
			for range 1000 {
				syn.Put(buf, path, src6, 1, 2, 3, 0, 0)
			}
			done <- bytes.Equal(buf, one)
		}()
	}
	for range 4 {
		if !<-done {
			t.Error("frames differ")
		}
	}
}
