package config

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// drawConfig makes a random configuration of up to four watches in two zones
// around 10.0.0.0/24 and fd00::/120, with excludes of all kinds, or nil where
// its watches contend.
func drawConfig(t *testing.T, rng *rand.Rand) *Config {
	t.Helper()
	draw := func() string {
		a, six := rng.IntN(256), rng.IntN(3) == 0
		switch b := 32 - rng.IntN(7); {
		case six && rng.IntN(2) == 0:
			return fmt.Sprintf("fd00::%x/%d", a>>(32-b)<<(32-b), b+96)
		case six:
			return fmt.Sprintf("fd00::%x-fd00::%x", a, a+rng.IntN(64))
		case rng.IntN(2) == 0:
			return fmt.Sprintf("10.0.0.%d/%d", a>>(32-b)<<(32-b), b)
		default:
			return fmt.Sprintf("10.0.0.%d-%d", a, min(255, a+rng.IntN(64)))
		}
	}
	var text strings.Builder
	for i := range 1 + rng.IntN(4) {
		fmt.Fprintf(&text, "[[watch]]\nname='w%d'\nzone='z%d'\ntargets=['%s','%s','fe80::%x%%eth%d']\nexclude=['%s']\n"+
			"tcp_ports='%d-%d'\nudp_ports='%d'\n", i, rng.IntN(2), draw(), draw(), 1+rng.IntN(4), rng.IntN(2), draw(),
			1+rng.IntN(3), 3+rng.IntN(3), 1+rng.IntN(5))
	}
	lists := []string{"fe80::/10", draw(), "10.0.0.7", "fe80::1%eth0"}
	c, err := Parse([]Source{{"t.toml", []byte(text.String())}}, []Source{{"x", []byte(lists[rng.IntN(len(lists))])}})
	if err != nil {
		if strings.Contains(err.Error(), "neither is the more specific") {
			return nil
		}
		t.Fatalf("%v\n%s", err, &text)
	}
	return c
}

// Whatever the configuration, the gate lets through what WatchFor and the
// ports of the watch say, for every address, transport and port around the
// targets, and nothing else.
func TestGateIsTheScope(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var around []netip.Addr
	for _, s := range []string{"10.0.0.0/24", "fd00::/120", "10.0.1.0/30", "224.0.0.0/30", "::/126"} {
		for a := range NewAddrSet(mustRange(t, s)).All() {
			around = append(around, a)
		}
	}
	for _, s := range []string{"fe80::1%eth0", "fe80::1%eth1", "fe80::1", "fe80::2%eth0", "fe80::3%eth1", "::ffff:10.0.0.9"} {
		around = append(around, netip.MustParseAddr(s))
	}
	around = append(around, netip.Addr{})
	good, open := 0, 0
	for range 150 {
		c := drawConfig(t, rng)
		if c == nil {
			continue
		}
		good++
		g := c.Gate()
		for _, a := range around {
			open += checkGate(t, c, g, a)
		}
	}
	if good < 50 || open < 1000 {
		t.Errorf("%d good draws, %d endpoints let through", good, open)
	}
}

// checkGate compares all ports of one address, and counts those that are let
// through.
func checkGate(t *testing.T, c *Config, g *Gate, a netip.Addr) (open int) {
	t.Helper()
	host := false
	for port := uint16(0); port <= 6; port++ {
		for _, network := range []string{"tcp", "udp", "sctp"} {
			var want []string
			for _, zone := range []string{"z0", "z1"} {
				w := c.WatchFor(zone, a)
				host = host || w != nil
				if w != nil && (network == "tcp" && w.TCPPorts.Contains(port) || network == "udp" && w.UDPPorts.Contains(port)) {
					want = append(want, w.Name)
				}
			}
			got := map[string]bool{}
			for _, w := range g.Watches(network, a, port) {
				got[w.Name] = true
			}
			same := len(got) == len(want)
			for _, name := range want {
				same = same && got[name]
			}
			if !same || g.Permits(network, a, port) != (len(want) > 0) {
				t.Fatalf("%s %v port %d: the gate has %v, permits %v, want %q\n%+v", network, a, port, got,
					g.Permits(network, a, port), want, c.Watches)
			}
			open += len(want)
		}
	}
	if a.IsValid() && a.Zone() == "" && !a.Is4In6() && g.Overlaps(netip.PrefixFrom(a, a.BitLen())) != host && isHost(a) && !a.IsLinkLocalUnicast() {
		t.Fatalf("Overlaps(%v) = %v, want %v\n%+v", a, !host, host, c.Watches)
	}
	if g.Host(a) != host {
		t.Fatalf("Host(%v) = %v, want %v\n%+v", a, !host, host, c.Watches)
	}
	return open
}

func BenchmarkGatePermits(b *testing.B) {
	c := Default()
	c.Watches[0].Targets = append(c.Watches[0].Targets, PrefixRange(netip.MustParsePrefix("10.0.0.0/16")))
	g := c.Gate()
	a := netip.MustParseAddr("10.0.7.7")
	for b.Loop() {
		if !g.Permits("tcp", a, 80) {
			b.Fatal("not permitted")
		}
	}
}
