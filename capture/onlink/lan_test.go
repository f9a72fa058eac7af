package onlink

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// A lan is an Ethernet with hosts that answer as their fields say, and the
// routes of a machine on it.
type lan struct {
	mu      sync.Mutex
	hosts   map[netip.Addr][6]byte
	deaf    map[netip.Addr]int  // how many requests it misses at first
	silent  map[netip.Addr]bool // it does not answer all-nodes
	asked   map[netip.Addr]int
	mac     [6]byte
	down    bool
	kernel  []route.Neighbor
	ports   []*lanPort
	opened  int
	routers map[netip.Prefix]netip.Addr
}

var (
	ownMAC  = [6]byte{2, 0, 0, 0, 0, 1}
	own4    = netip.MustParseAddr("198.18.0.1")
	own6    = netip.MustParseAddr("2001:db8::1")
	ownLL   = netip.MustParseAddr("fe80::1")
	onLink4 = netip.MustParsePrefix("198.18.0.0/16")
	onLink6 = netip.MustParsePrefix("2001:db8::/64")
)

func newLAN() *lan {
	return &lan{hosts: map[netip.Addr][6]byte{}, deaf: map[netip.Addr]int{}, silent: map[netip.Addr]bool{},
		asked: map[netip.Addr]int{}, mac: ownMAC, routers: map[netip.Prefix]netip.Addr{}}
}

func (l *lan) add(a string, mac byte) { l.hosts[netip.MustParseAddr(a)] = [6]byte{2, 0, 0, 0, 1, mac} }

func (l *lan) iface() route.Interface {
	return route.Interface{Index: 7, Name: "e1", MAC: l.mac, MTU: 1500, Medium: route.Ethernet, Up: true, Admin: true}
}

func (l *lan) Hop(dst netip.Addr, via string) (route.Hop, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dst = dst.WithZone("")
	h := route.Hop{Link: l.iface(), Next: dst, OnLink: true}
	switch {
	case via != "" && via != "e1":
		return h, route.ErrNoInterface
	case l.down:
		return h, route.ErrNoRoute
	case dst == own4 || dst == own6 || dst == ownLL:
		h.Local = true
	}
	switch {
	case dst.IsLinkLocalUnicast() && dst.Is6():
		h.Src = ownLL
	case onLink6.Contains(dst):
		h.Src = own6
	case onLink4.Contains(dst):
		h.Src = own4
	default:
		for p, router := range l.routers {
			if p.Contains(dst) {
				h.Next, h.OnLink, h.Src = router, false, own4
				return h, nil
			}
		}
		return h, route.ErrNoRoute
	}
	return h, nil
}

func (l *lan) Interfaces() ([]route.Interface, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return []route.Interface{l.iface()}, nil
}

func (l *lan) Addresses() ([]route.Address, error) {
	return []route.Address{
		{Link: 7, Prefix: netip.PrefixFrom(own4, 16), Usable: true},
		{Link: 7, Prefix: netip.PrefixFrom(own6, 64), Usable: true},
		{Link: 7, Prefix: netip.PrefixFrom(ownLL, 64), Usable: true},
	}, nil
}

func (l *lan) Neighbors(int) ([]route.Neighbor, error) { return l.kernel, nil }

func (l *lan) Neighbor(_ int, a netip.Addr) (route.Neighbor, error) {
	for _, n := range l.kernel {
		if n.Addr == a {
			return n, nil
		}
	}
	return route.Neighbor{}, nil
}

// setDown takes the interface down, or up.
func (l *lan) setDown(down bool) {
	l.mu.Lock()
	l.down = down
	ports := l.ports
	l.mu.Unlock()
	for _, p := range ports {
		if down {
			_ = p.Close()
		}
	}
}

// A lanPort is our end of the cable.
type lanPort struct {
	lan    *lan
	frames chan []byte
	once   sync.Once
	closed chan struct{}
}

func (l *lan) open(route.Interface) (Port, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, link.ErrDown
	}
	l.opened++
	p := &lanPort{lan: l, frames: make(chan []byte, 1<<16), closed: make(chan struct{})}
	l.ports = append(l.ports, p)
	return p, nil
}

func (p *lanPort) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *lanPort) Busy() time.Duration { return 0 }

func (p *lanPort) Receive(yield func([]byte, time.Time)) error {
	for {
		select {
		case b := <-p.frames:
			yield(b, time.Now())
		case <-p.closed:
			return net.ErrClosed
		}
	}
}

func (p *lanPort) Send(frames [][]byte) (int, error) {
	select {
	case <-p.closed:
		return 0, link.ErrDown
	default:
	}
	for _, b := range frames {
		for _, answer := range p.lan.answer(b) {
			p.frames <- answer
		}
	}
	return len(frames), nil
}

// answer gives what the hosts say to a frame.
func (l *lan) answer(b []byte) (out [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var p frame.Packet
	if p.Decode(frame.Ethernet, b) != nil {
		return nil
	}
	switch {
	case p.ARP.Op == 1:
		if mac, ok := l.hears(p.ARP.Target); ok {
			out = append(out, arpReply(p.ARP.Target, mac, p.ARP.Sender, p.SrcMAC))
		}
	case p.Type == frame.ICMPv6NeighborSolicitation && p.Proto == frame.ProtoICMPv6:
		if mac, ok := l.hears(p.ND.Target); ok {
			out = append(out, advertisement(p.ND.Target, mac, p.Src, p.SrcMAC, true))
		}
	case p.Type == frame.ICMPv6Echo && p.Dst == frame.AllNodes:
		for a, mac := range l.hosts {
			if a.Is6() && a.IsLinkLocalUnicast() == p.Src.IsLinkLocalUnicast() && !l.silent[a] {
				out = append(out, echoReply(b, a, mac))
			}
		}
	case p.Type == frame.ICMPv6Echo && p.Proto == frame.ProtoICMPv6, p.Type == frame.ICMPEcho && p.Proto == frame.ProtoICMP:
		for _, mac := range l.hosts {
			if mac == p.DstMAC && !l.silent[p.Dst] {
				return append(out, echoReply(b, p.Dst, mac))
			}
		}
	}
	return out
}

// hears counts a request, and says who answers it.
func (l *lan) hears(a netip.Addr) (mac [6]byte, ok bool) {
	l.asked[a]++
	if l.deaf[a] > 0 {
		l.deaf[a]--
		return mac, false
	}
	mac, ok = l.hosts[a]
	return mac, ok
}

// inject lets our end receive a frame.
func (l *lan) inject(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports[len(l.ports)-1].frames <- b
}

func arpReply(a netip.Addr, mac [6]byte, to netip.Addr, toMAC [6]byte) []byte {
	b := append(append(toMAC[:], mac[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 2)
	b = append(append(b, mac[:]...), a.AsSlice()...)
	return append(append(b, toMAC[:]...), to.AsSlice()...)
}

func advertisement(a netip.Addr, mac [6]byte, to netip.Addr, toMAC [6]byte, solicited bool) []byte {
	b := append(append(toMAC[:], mac[:]...), 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, frame.ProtoICMPv6, 255)
	b = append(append(b, a.AsSlice()...), to.AsSlice()...)
	flags := byte(0x20) // override
	if solicited {
		flags |= 0x40
	}
	b = append(b, frame.ICMPv6NeighborAdvertisement, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, a.AsSlice()...)
	return append(append(b, 2, 1), mac[:]...)
}

// echoReply turns a request round, as if from a.
func echoReply(request []byte, a netip.Addr, mac [6]byte) []byte {
	b := append([]byte(nil), request...)
	copy(b, request[6:12])
	copy(b[6:], mac[:])
	if binary.BigEndian.Uint16(b[12:]) == frame.TypeIPv4 {
		copy(b[30:34], request[26:30])
		copy(b[26:30], a.AsSlice())
		b[34] = frame.ICMPEchoReply
		return b
	}
	copy(b[38:54], request[22:38])
	copy(b[22:38], a.AsSlice())
	b[54] = frame.ICMPv6EchoReply
	return b
}
