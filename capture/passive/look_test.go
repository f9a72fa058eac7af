package passive

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/capture/frame"
)

func testLooker(cfg Config) *looker {
	cfg.Contains = scope("198.18.0.0/16", "2001:db8::/64", "fe80::/10")
	cfg.defaults()
	return newLooker(newJudge(&cfg), &cfg, frame.Ethernet, "eth0")
}

var compare = cmp.Options{cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}

func TestHandshakeFrames(t *testing.T) {
	syn := ether(etherIPv4, ip4(6, host2, host1, tcp(40000, 80, 99, 0, flagSYN)))
	all := endpoint
	for name, c := range map[string]struct {
		frames [][]byte
		want   []Sighting
	}{
		"a handshake": {
			[][]byte{syn, ether(etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 7, 100, flagSYN|flagACK, 2, 4, 5, 0xb4)))},
			[]Sighting{{AddrPort: all("198.18.0.1:80"), Network: "tcp", Kind: SYNACK, Begun: true}},
		},
		"an answer to another number": {
			[][]byte{syn, ether(etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 7, 99, flagSYN|flagACK)))},
			[]Sighting{{AddrPort: all("198.18.0.1:80"), Network: "tcp", Kind: SYNACK}},
		},
		"IPv6, link-local": {
			[][]byte{
				ether(etherIPv6, ip6(6, 64, "fe80::2", "fe80::1", tcp(40000, 22, 99, 0, flagSYN))),
				ether(etherIPv6, ip6(6, 64, "fe80::1", "fe80::2", tcp(22, 40000, 7, 100, flagSYN|flagACK))),
			},
			[]Sighting{{AddrPort: all("[fe80::1%eth0]:22"), Network: "tcp", Kind: SYNACK, Begun: true}},
		},
		"inside a VLAN tag that was left": {
			[][]byte{ether(0x8100, append([]byte{0, 7, 8, 0}, ip4(6, host1, host2, tcp(80, 40000, 7, 1, 0x12))...))},
			[]Sighting{{AddrPort: all("198.18.0.1:80"), Network: "tcp", Kind: SYNACK}},
		},
		"ARP": {
			[][]byte{ether(etherARP, arp(1, host1, host2)), ether(etherARP, arp(2, host1, host2))},
			[]Sighting{{AddrPort: all("198.18.0.1:0"), Kind: ARP, MAC: macB}},
		},
		"an ARP probe": {[][]byte{ether(etherARP, arp(1, "0.0.0.0", host2))}, nil},
		"an advertisement": {
			[][]byte{ether(etherIPv6, ip6(58, 255, host2s, "ff02::1", nd(136, host1s, 2)))},
			[]Sighting{{AddrPort: all("[2001:db8::1]:0"), Kind: ND, MAC: macB}},
		},
		"a solicitation, without its link-layer address": {
			[][]byte{ether(etherIPv6, ip6(58, 255, host2s, "ff02::1", nd(135, host1s, 0)))},
			[]Sighting{{AddrPort: all("[2001:db8::2]:0"), Kind: ND, MAC: macB}},
		},
		"who asks whether an address is free": {
			[][]byte{ether(etherIPv6, ip6(58, 255, "::", "ff02::1", nd(135, host1s, 0)))},
			[]Sighting{{AddrPort: all("[2001:db8::1]:0"), Kind: ND, MAC: macB}},
		},
		"an advertisement from behind a router": {
			[][]byte{ether(etherIPv6, ip6(58, 254, host2s, "ff02::1", nd(136, host1s, 2)))}, nil},
		"an MLD report": {
			[][]byte{ether(etherIPv6, ip6(0, 1, "fe80::5", "ff02::16", mld()))},
			[]Sighting{{AddrPort: all("[fe80::5%eth0]:0"), Kind: ND, MAC: macB}},
		},
		"DHCP": {
			[][]byte{ether(etherIPv4, ip4(17, "0.0.0.0", "255.255.255.255", udp(68, 67,
				dhcpMessage("", "", 53, 1, 3, 50, 4, 198, 18, 0, 9, 12, 3, 'n', 'a', 's', 60, 1, 'v', 255)...)))},
			[]Sighting{{AddrPort: all("198.18.0.9:0"), Kind: DHCP, MAC: clientMAC, Name: "nas", Vendor: "v"}},
		},
		"mDNS": {
			[][]byte{ether(etherIPv4, ip4(17, host1, "224.0.0.251", udp(5353, 5353, newMessage(0x8400).
				record(wire("O", "_ipp", "_tcp", "local"), dnsTypeSRV, 9, srv(631, "p", "local")...).
				record(wire("p", "local"), dnsTypeAAAA, 9, asSlice(host1s)...).
				record(wire("p", "local"), dnsTypeA, 9, 198, 51, 100, 1).b...)))}, // not in the scope
			[]Sighting{
				{AddrPort: all("[2001:db8::1]:0"), Kind: MDNS, Name: "p.local"},
				{AddrPort: all("[2001:db8::1]:631"), Network: "tcp", Kind: MDNS, Name: "p.local", Service: "_ipp._tcp"},
			},
		},
		"from nobody, from a group, port 0": {
			[][]byte{
				ether(etherIPv4, ip4(6, "0.0.0.0", host2, tcp(80, 40000, 7, 1, 0x12))),
				ether(etherIPv6, ip6(6, 64, "ff02::1", host2s, tcp(80, 40000, 7, 1, 0x12))),
				ether(etherIPv4, ip4(6, host1, host2, tcp(0, 40000, 7, 1, 0x12))),
				ether(etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 7, 1, 0x17))),
				ether(etherIPv4, fragment(ip4(6, host1, host2, tcp(80, 40000, 7, 1, 0x12)))),
			}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := testLooker(Config{})
			for _, b := range c.frames {
				l.handshake(b, t0)
			}
			told(t, l, c.want)
		})
	}
}

func asSlice(a string) []byte { return netip.MustParseAddr(a).AsSlice() }

func told(t *testing.T, l *looker, want []Sighting) {
	t.Helper()
	for i := range want {
		want[i].At, want[i].Interface = t0, "eth0"
	}
	if d := cmp.Diff(want, drain(l.judge), compare); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}

func TestDatagramFrames(t *testing.T) {
	from := func(src, dst string, sport, dport uint16) []byte {
		return ether(etherIPv4, ip4(17, src, dst, udp(sport, dport, 1, 2, 3)))
	}
	snmp := Sighting{AddrPort: endpoint("198.18.0.1:161"), Network: "udp", Kind: UDP}
	asked := snmp
	asked.Begun = true
	for name, c := range map[string]struct {
		frames [][]byte
		want   []Sighting
	}{
		"an answer":                 {[][]byte{from(host2, host1, 1024, 161), from(host1, host2, 161, 1024)}, []Sighting{asked}},
		"to a client's port":        {[][]byte{from(host1, host2, 161, 40000)}, []Sighting{snmp}},
		"to a low port, not asked":  {[][]byte{from(host1, host2, 161, 1024)}, nil},
		"to a group":                {[][]byte{from(host1, "239.1.2.3", 161, 40000)}, nil},
		"a request alone":           {[][]byte{from(host2, host1, 40000, 161)}, nil},
		"another client's request":  {[][]byte{from(host2, host1, 1025, 161), from(host1, host2, 161, 1024)}, nil},
		"between two service ports": {[][]byte{from(host2, host1, 162, 161), from(host1, host2, 161, 162)}, []Sighting{asked}},
		"the client asks once more": {[][]byte{
			from(host2, host1, 161, 161), from(host1, host2, 161, 161), from(host2, host1, 161, 161)}, []Sighting{asked}},
	} {
		t.Run(name, func(t *testing.T) {
			l := testLooker(Config{UDPPorts: testPorts})
			for _, b := range c.frames {
				l.datagram(b, t0)
			}
			told(t, l, c.want)
		})
	}
}

func TestAddressesOfIPv6(t *testing.T) {
	l := testLooker(Config{})
	l.handshake(ether(etherIPv6, ip6(58, 255, host2s, "ff02::1", nd(136, host2s, 2))), t0)
	l.handshake(ether(etherIPv6, ip6(6, 64, host1s, host2s, tcp(80, 40000, 7, 1, 0x12))), t0)
	l.handshake(ether(etherIPv6, ip6(6, 64, "2001:db8:9::1", host2s, tcp(80, 40000, 7, 1, 0x12))), t0)
	l.handshake(ether(etherARP, arp(1, host1, host2)), t0)
	want := []netip.Addr{netip.MustParseAddr(host1s), netip.MustParseAddr(host2s)}
	if got := l.judge.seen(t0); !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
}

// A frame that is not told costs no allocation, whatever keeps it from being
// told.
func TestUntoldFramesDoNotAllocate(t *testing.T) {
	l := testLooker(Config{UDPPorts: testPorts, FramesPerSecond: 1 << 30})
	syn := ether(etherIPv4, ip4(6, host2, host1, tcp(40000, 80, 99, 0, flagSYN)))
	ack := ether(etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 7, 100, 0x12)))
	local := ether(etherIPv6, ip6(6, 64, "fe80::1", "fe80::2", tcp(80, 40000, 7, 1, 0x12)))
	neighbor := ether(etherARP, arp(1, host1, host2))
	outside := ether(etherIPv4, ip4(6, "198.51.100.1", host2, tcp(80, 40000, 7, 1, 0x12)))
	answer := ether(etherIPv4, ip4(17, host1, host2, udp(161, 40000, 1)))
	all := func() {
		for _, b := range [][]byte{syn, ack, local, neighbor, outside, ack[:30]} {
			l.handshake(b, t0)
		}
		l.datagram(answer, t0)
	}
	all()
	drain(l.judge)
	if n := testing.AllocsPerRun(1000, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(l.judge.out) != 0 {
		t.Error("something was told again")
	}
}

func FuzzLook(f *testing.F) {
	for _, c := range filterCases {
		f.Add(ether(c.kind, c.packet))
	}
	f.Add(ether(etherARP, arp(1, host1, host2)))
	l, now := testLooker(Config{UDPPorts: testPorts}), t0
	f.Fuzz(func(t *testing.T, b []byte) {
		now = now.Add(time.Hour) // nothing is told already, and all tokens are there
		l.handshake(b, now)
		l.datagram(b, now)
		for _, s := range drain(l.judge) {
			if (s.Network == "") != (s.AddrPort.Port() == 0) || s.Kind == "" ||
				!l.judge.contains(s.AddrPort.Addr(), s.Network, s.AddrPort.Port()) {
				t.Errorf("told %+v", s)
			}
			isClean(t, s.Name, s.Vendor, s.Service)
		}
	})
}
