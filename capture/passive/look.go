package passive

import (
	"net/netip"
	"time"

	"sonde/capture/frame"
)

// clientPort is where ports begin that clients are given: 32768 on Linux, 49152
// by RFC 6335. A datagram to a port below, whose request was not seen, may as
// well be the request.
const clientPort = 32768

// mldHopLimit proves that a report is from this link (RFC 3810 section 5).
const mldHopLimit = 1

// A looker turns the frames of one socket into what a judge decides about. It
// belongs to one goroutine, and allocates for what is told only.
type looker struct {
	judge  *judge
	medium frame.Medium
	link   string // the name of the interface
	ports  []Range

	packet frame.Packet
	frames frames
	parsed frames // DHCP and mDNS
	mdns   mdnsReader
}

func newLooker(j *judge, cfg *Config, m frame.Medium, link string) *looker {
	return &looker{judge: j, medium: m, link: link, ports: cfg.UDPPorts,
		frames: newFrames(cfg.FramesPerSecond), parsed: newFrames(parsedPerSecond)}
}

// handshake looks at a frame that the filter handshakes has left.
func (l *looker) handshake(b []byte, at time.Time) {
	p := l.decode(b, at)
	if p == nil {
		return
	}
	switch {
	case p.EtherType == frame.TypeARP:
		l.arp(p, at)
	case p.Fragment && p.SrcPort == 0:
		l.malformed()
	case p.Proto == frame.ProtoTCP:
		l.tcp(p, at)
	case p.Proto == frame.ProtoUDP:
		l.chatter(p, at)
	case p.Proto == frame.ProtoICMPv6:
		l.neighbor(p, at)
	default:
		l.malformed()
	}
}

// datagram looks at a frame that the filter datagrams has left.
func (l *looker) datagram(b []byte, at time.Time) {
	p := l.decode(b, at)
	if p == nil {
		return
	}
	if p.Proto != frame.ProtoUDP || !isHost(p.Src) || p.SrcPort == 0 || p.DstPort == 0 {
		l.malformed()
		return
	}
	src, dst := l.ends(p)
	if l.served(p.SrcPort) {
		r := request{network: "udp", client: dst, server: src}
		s := Sighting{AddrPort: src, Network: "udp", Kind: UDP, At: at, Interface: l.link}
		if l.judge.answered(&s, &r, isHost(p.Dst) && p.DstPort >= clientPort) {
			return // or else the answer would look like a request to the client
		}
	}
	if l.served(p.DstPort) && isHost(p.Dst) {
		l.judge.requested(&request{network: "udp", client: src, server: dst}, at)
	}
}

// decode reads a frame, or gives nil for what is not looked at.
func (l *looker) decode(b []byte, at time.Time) *frame.Packet {
	c := &l.judge.count
	c.frames.Add(1)
	if !l.frames.take(at) {
		c.sampled.Add(1)
		return nil
	}
	if l.packet.Decode(l.medium, b) != nil {
		l.malformed()
		return nil
	}
	return &l.packet
}

func (l *looker) malformed() { l.judge.count.malformed.Add(1) }

func (l *looker) served(port uint16) bool {
	for _, r := range l.ports {
		if r.Lo <= port && port <= r.Hi {
			return true
		}
	}
	return false
}

// ends are both ends of a packet, link-local ones with the interface.
func (l *looker) ends(p *frame.Packet) (src, dst netip.AddrPort) {
	return netip.AddrPortFrom(l.zoned(p.Src), p.SrcPort), netip.AddrPortFrom(l.zoned(p.Dst), p.DstPort)
}

func (l *looker) zoned(a netip.Addr) netip.Addr {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return a.WithZone(l.link)
	}
	return a
}

// isHost says whether an address may be that of one host.
func isHost(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func (l *looker) tcp(p *frame.Packet, at time.Time) {
	src, dst := l.ends(p)
	if !isHost(p.Src) || !isHost(p.Dst) || p.SrcPort == 0 || p.DstPort == 0 {
		l.malformed()
		return
	}
	switch p.Flags & (frame.FlagSYN | frame.FlagACK | frame.FlagRST | frame.FlagFIN) {
	case frame.FlagSYN:
		l.judge.requested(&request{network: "tcp", client: src, server: dst, seq: p.Seq}, at)
	case frame.FlagSYN | frame.FlagACK:
		s := Sighting{AddrPort: src, Network: "tcp", Kind: SYNACK, At: at, Interface: l.link}
		l.judge.answered(&s, &request{network: "tcp", client: dst, server: src, seq: p.Ack - 1}, true)
	default:
		l.malformed()
	}
}

// arp tells who says that it has an address. The sender of a probe (RFC 5227)
// has none yet.
func (l *looker) arp(p *frame.Packet, at time.Time) {
	l.host(ARP, p.ARP.Sender, p.ARP.SenderMAC, at)
}

// host tells of a host with its MAC.
func (l *looker) host(k Kind, a netip.Addr, mac MAC, at time.Time) {
	if !isHost(a) || mac == (MAC{}) || mac[0]&1 != 0 { // a group's MAC is nobody's
		l.malformed()
		return
	}
	l.judge.host(&Sighting{AddrPort: netip.AddrPortFrom(l.zoned(a), 0), Kind: k, MAC: mac,
		At: at, Interface: l.link})
}

// neighbor reads neighbour discovery and MLD reports.
func (l *looker) neighbor(p *frame.Packet, at time.Time) {
	a, mac := p.Src, MAC(p.SrcMAC)
	switch {
	case p.ND.Valid:
		if p.ND.HasLink {
			mac = p.ND.LinkAddr
		}
		// An advertisement speaks of its target, and so does who asks
		// whether an address is free before it takes it (RFC 4862).
		free := p.Type == frame.ICMPv6NeighborSolicitation && p.Src.IsUnspecified()
		if free || p.Type == frame.ICMPv6NeighborAdvertisement {
			a = p.ND.Target
		}
	case p.HopLimit == mldHopLimit &&
		(p.Type == frame.ICMPv6MLDReport || p.Type == frame.ICMPv6MLDv2Report):
		if a.IsUnspecified() {
			return // a report before the sender has an address
		}
	default:
		l.malformed()
		return
	}
	l.host(ND, a, mac, at)
}

// chatter reads DHCP and mDNS.
func (l *looker) chatter(p *frame.Packet, at time.Time) {
	if !l.parsed.take(at) {
		l.judge.count.sampled.Add(1)
		return
	}
	ok := false
	switch p.SrcPort {
	case dhcpServerPort, dhcpClientPort:
		ok = l.dhcp(p, at)
	case mdnsPort:
		ok = l.announced(p, at)
	}
	if !ok {
		l.malformed()
	}
}

func (l *looker) dhcp(p *frame.Packet, at time.Time) bool {
	if p.DstPort != dhcpServerPort && p.DstPort != dhcpClientPort {
		return false
	}
	lease, ok := parseDHCP(p.Payload)
	if !ok || !isHost(lease.addr) {
		return false
	}
	l.judge.host(&Sighting{AddrPort: netip.AddrPortFrom(lease.addr, 0), Kind: DHCP, MAC: lease.mac,
		Name: lease.name, Vendor: lease.vendor, At: at, Interface: l.link})
	return true
}

func (l *looker) announced(p *frame.Packet, at time.Time) bool {
	if !isHost(p.Src) {
		return false
	}
	return l.mdns.read(p.Payload, p.Src, func(a announcement) {
		if !isHost(a.addr) {
			return
		}
		s := Sighting{AddrPort: netip.AddrPortFrom(l.zoned(a.addr), a.port), Network: a.network,
			Kind: MDNS, Name: a.name, Service: a.service, At: at, Interface: l.link}
		if a.network == "" {
			l.judge.host(&s)
		} else {
			l.judge.claimed(&s)
		}
	})
}
