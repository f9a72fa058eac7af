//go:build linux

package capturetest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Hosts are addresses whose ports the kernel's own stack answers for.
type Hosts struct {
	Prefixes []netip.Prefix // every address of them is a host
	Open     []netip.AddrPort

	// Silent makes closed TCP ports stay silent instead of refusing.
	Silent bool

	// UDP are ports that answer each datagram with "got " and its bytes, on
	// every host; all other UDP ports refuse by ICMP.
	UDP []uint16
}

// Serve lets a namespace be the hosts: all addresses of the prefixes are its
// own, and a host whose pair is not in Open refuses, although some other
// host's listener has the port. Listeners take connections and close them.
func Serve(t testing.TB, ns *Namespace, h Hosts) {
	t.Helper()
	for _, p := range h.Prefixes {
		ns.IP(t, family(p.Addr()), "route", "add", "local", p.String(), "dev", "lo")
	}
	// The kernel holds back RSTs and ICMP errors, which is what other tests are
	// about.
	ns.Sysctl(t, "net/ipv4/icmp_ratelimit", "0")
	ns.Sysctl(t, "net/ipv6/icmp/ratelimit", "0")
	// Datagrams leave from the address that was asked, which no interface has.
	ns.Sysctl(t, "net/ipv6/ip_nonlocal_bind", "1")
	ns.NFT(t, h.ruleset())
	var ports []uint16
	for _, ap := range h.Open {
		if !slices.Contains(ports, ap.Port()) {
			ports = append(ports, ap.Port())
		}
	}
	var all sync.WaitGroup
	t.Cleanup(all.Wait) // runs after the closing below
	for _, port := range ports {
		listen(t, ns, port, &all)
	}
	for _, port := range h.UDP {
		echo(t, ns, port, &all)
	}
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "-4"
	}
	return "-6"
}

// RefuseEarly lets closed IPv4 ports of TCP refuse right where packets come in,
// which takes the kernel a third of the time that its stack does. The hosts
// are served by Serve all the same, for the open pairs.
func RefuseEarly(t testing.TB, p Port, h Hosts) {
	t.Helper()
	var open []string
	for _, ap := range h.Open {
		open = append(open, fmt.Sprintf("%s . %d", ap.Addr(), ap.Port()))
	}
	p.In.NFT(t, fmt.Sprintf(`table netdev early {
set open { type ipv4_addr . inet_service
elements = { %s }
}
chain in { type filter hook ingress device %q priority 0
ip daddr . tcp dport @open accept
ip daddr %s tcp flags & (syn | ack | rst) == syn reject with tcp reset
ip daddr %s meta l4proto tcp drop
}
}
`, strings.Join(open, ", "), p.Name, h.Prefixes[0], h.Prefixes[0]))
}

// ruleset decides which pairs the listeners answer for.
func (h Hosts) ruleset() string {
	var v4, v6 []string
	for _, ap := range h.Open {
		e := fmt.Sprintf("%s . %d", ap.Addr(), ap.Port())
		if ap.Addr().Is4() {
			v4 = append(v4, e)
		} else {
			v6 = append(v6, e)
		}
	}
	elements := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return "elements = { " + strings.Join(list, ", ") + " }\n"
	}
	verdict := "reject with tcp reset"
	if h.Silent {
		verdict = "drop"
	}
	var rest strings.Builder
	for _, p := range h.Prefixes {
		proto := "ip6"
		if p.Addr().Is4() {
			proto = "ip"
		}
		fmt.Fprintf(&rest, "%s daddr %s meta l4proto tcp %s\n", proto, p, verdict)
	}
	return fmt.Sprintf(`table inet hosts {
set open4 { type ipv4_addr . inet_service
%s}
set open6 { type ipv6_addr . inet_service
%s}
chain input { type filter hook input priority 0
ip daddr . tcp dport @open4 accept
ip6 daddr . tcp dport @open6 accept
%s}
}
`, elements(v4), elements(v6), rest.String())
}

// listen takes connections on a port of all addresses, of both families.
func listen(t testing.TB, ns *Namespace, port uint16, all *sync.WaitGroup) {
	t.Helper()
	var l *net.TCPListener
	ns.Do(t, func() (err error) {
		l, err = net.ListenTCP("tcp", &net.TCPAddr{Port: int(port)})
		return err
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				c.Close()
			}
		}
	})
	t.Cleanup(func() { _ = l.Close() })
}

// echo answers datagrams to a port of all addresses, from the address that was
// asked.
func echo(t testing.TB, ns *Namespace, port uint16, all *sync.WaitGroup) {
	t.Helper()
	for _, network := range []string{"udp4", "udp6"} {
		var c *net.UDPConn
		ns.Do(t, func() (err error) {
			c, err = net.ListenUDP(network, &net.UDPAddr{Port: int(port)})
			if err != nil {
				return err
			}
			return wantDestination(c, network == "udp4")
		})
		all.Go(func() {
			buf, oob := make([]byte, 2048), make([]byte, 256)
			for {
				n, m, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
				if err != nil {
					return
				}
				// What names the address that was asked also names the
				// address to answer from.
				_, _, _ = c.WriteMsgUDPAddrPort(append([]byte("got "), buf[:n]...), oob[:m], from)
			}
		})
		t.Cleanup(func() { _ = c.Close() })
	}
}

// echoBuffer holds the datagrams of a burst: some 10,000 small ones.
const echoBuffer = 8 << 20

// wantDestination asks the kernel for the address that a datagram was sent to,
// and for room.
func wantDestination(c *net.UDPConn, v4 bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, echoBuffer)
		if inner != nil {
			return
		}
		if v4 {
			inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		} else {
			inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
	})
	return errors.Join(err, inner)
}

// Lose makes a namespace lose so many thousandths of the TCP and UDP packets
// that it is sent, and of those that it sends. Captures lie before the hooks
// that lose: what the namespace's own interfaces show includes the lost ones
// that arrived, not those that it lost when sending.
func Lose(t testing.TB, ns *Namespace, perMille int) {
	t.Helper()
	ns.NFT(t, fmt.Sprintf(`table inet lose {
chain in { type filter hook prerouting priority raw
iifname != "lo" meta l4proto { tcp, udp } numgen random mod 1000 < %[1]d drop
}
chain out { type filter hook postrouting priority 300
oifname != "lo" meta l4proto { tcp, udp } numgen random mod 1000 < %[1]d drop
}
}
`, perMille))
}

// HalfOpen gives the connections of a namespace that wait for the last packet
// of a handshake, one line of ss(8) each.
func HalfOpen(t testing.TB, ns *Namespace) []string {
	t.Helper()
	out, err := ns.Command(t.Context(), "ss", "-Htan", "state", "syn-recv").CombinedOutput()
	if err != nil {
		t.Fatalf("ss in %s: %v: %s", ns.Name, err, out)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}
