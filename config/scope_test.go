package config

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestScopeRules(t *testing.T) {
	w := func(name, zone, targets string) string {
		return fmt.Sprintf("[[watch]]\nname=%q\nzone=%q\ntargets=[%s]\n", name, zone, targets)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"nested", w("a", "z", "'10.0.0.0/24'") + w("b", "z", "'10.0.0.8/29'"), ""},
		{"same in two zones", w("a", "y", "'10.0.0.0/24'") + w("b", "z", "'10.0.0.0/24'"), ""},
		{"same in one zone", w("a", "z", "'10.0.0.0/24'") + w("b", "z", "'10.0.0.0/24'"), "t.toml:8:1: watch.targets: 10.0.0.0/24 overlaps 10.0.0.0/24 of watch \"a\" (t.toml:4:1)"},
		{"runs of one length", w("a", "z", "'10.0.0.1-9'") + w("b", "z", "'10.0.0.5-13'"), "neither is the more specific"},
		{"runs of two lengths", w("a", "z", "'10.0.0.1-9'") + w("b", "z", "'10.0.0.5-14'"), ""},
		{"twice in one watch", w("a", "z", "'10.0.0.1', '10.0.0.1'"), ""},
		{"name twice", w("a", "z", "'10.0.0.1'") + w("a", "z", "'10.0.0.2'"), "t.toml:6:1: watch.name: \"a\" is the watch at t.toml:2:1 already"},
		{"a /16", w("a", "z", "'10.0.0.0/16'") + "best_effort=true\n", ""},
		{"more than a /16 in sum", w("a", "z", "'10.0.0.0/16', '10.9.0.1'") + "best_effort=true\n", "65537 addresses are more than a /16"},
		{"authorised", w("a", "z", "'10.0.0.0/15', '8.8.8.8'") + "best_effort=true\ni_am_authorised=true\n", ""},
		{"public", w("a", "z", "'172.31.0.1', '172.32.0.1'"), "172.32.0.1 is not private"},
		{"private of all kinds", w("a", "z", "'10.0.0.1','172.16.0.1','192.168.0.1','100.64.0.1','169.254.0.1','127.0.0.2',"+
			"'198.18.0.1','::1','fd00::1','fe80::1%x','2001:db8::1'"), ""},
		{"IPv6 /112", w("a", "z", "'fd00::/112'") + "best_effort=true\n", ""},
		{"IPv6 /64", w("a", "z", "'fd00::/64'"), ""},
		{"IPv6 /64 and addresses in it", w("a", "z", "'fd00::/64', 'fd00::5', 'fd00::1:0/112'") + "best_effort=true\n", "65537 IPv6 addresses"},
		{"IPv6 /64 within a /48", w("a", "z", "'fd00::/48'") + w("b", "z", "'fd00::/64'"), ""},
		{"two IPv6 /64", w("a", "z", "'fd00::/64'") + w("b", "z", "'fd00::/64'"), "neither is the more specific"},
		{"echo of a /9", w("a", "z", "'10.0.0.0/9'") + "i_am_authorised=true\nbest_effort=true\necho=true\n", "more than echo can ask"},
		{"public IPv6 /64", w("a", "z", "'2a00::/64'"), "2a00::/64 is not private"},
		{"public IPv6 /64, authorised", w("a", "z", "'2a00::/64'") + "i_am_authorised=true\n", ""},
		{"IPv6 in pieces", w("a", "z", "'fd00::/112', 'fd01::1'") + "i_am_authorised=true\n", "65537 IPv6 addresses"},
		{"link-local without interface", w("a", "z", "'fe80::1'"), "fe80::1%eth0"},
		{"everything", w("a", "z", "'0.0.0.0/0'"), "no address of one host"},
		{"mapped", w("a", "z", "'::fffe:0:0/95'"), "no address of one host"},
		{"name of a stranger", w("a", "z", "'10.0.0.1'") + "names=['x=10.0.0.2']\n", "no target of the watch"},
		{"no ports", w("a", "z", "'10.0.0.1'") + "tcp_ports=''\nudp_ports=''\n", "both empty"},
		{"connections", "[limits]\nconnections=40\nhost_connections=11\n", "t.toml:3:1: limits.host_connections: host_connections, 11, is more than a quarter of connections, 40"},
		{"port 0", w("a", "z", "'10.0.0.1'") + "tcp_ports='0-9'\n", "port 0"},
	} {
		_, err := parse(tt.text)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Whatever the watches and excludes, the three ways to ask about scope agree,
// nothing excluded or foreign is ever in it, and each address belongs to the
// watch whose target is the smallest.
func TestScopeProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	draw := func() string {
		a := rng.IntN(64)
		if rng.IntN(2) == 0 {
			b := 32 - rng.IntN(7)
			return fmt.Sprintf("10.0.0.%d/%d", a>>(32-b)<<(32-b), b)
		}
		return fmt.Sprintf("10.0.0.%d-%d", a, a+rng.IntN(64))
	}
	good := 0
	for range 800 {
		var text strings.Builder
		for i := range 1 + rng.IntN(4) {
			fmt.Fprintf(&text, "[[watch]]\nname='w%d'\nzone='z%d'\ntargets=['%s','%s']\nexclude=['%s']\ntcp_ports='22'\n",
				i, rng.IntN(2), draw(), draw(), draw())
		}
		list := draw()
		c, err := Parse([]Source{{"t.toml", []byte(text.String())}}, []Source{{"x", []byte(list)}})
		if err != nil {
			if !strings.Contains(err.Error(), "neither is the more specific") {
				t.Fatalf("%v\n%s", err, &text)
			}
			continue
		}
		good++
		for a := range NewAddrSet(mustRange(t, "10.0.0.0/24")).All() {
			checkScope(t, c, a, mustRange(t, list), text.String())
		}
	}
	if good < 100 {
		t.Errorf("only %d of 800 draws were valid", good)
	}
}

func checkScope(t *testing.T, c *Config, a netip.Addr, list Range, text string) {
	t.Helper()
	excluded := list.Contains(a)
	for _, w := range c.Watches {
		for _, x := range w.Exclude {
			excluded = excluded || x.Contains(a)
		}
	}
	if c.Allowed(a) == excluded {
		t.Fatalf("Allowed(%s) = %t\n%s", a, !excluded, text)
	}
	for _, zone := range []string{"z0", "z1"} {
		want, size := "", uint64(1<<40)
		for _, w := range c.Watches {
			for _, r := range w.Targets {
				if w.Zone == zone && !excluded && r.Contains(a) && r.Size() < size {
					want, size = w.Name, r.Size()
				}
			}
		}
		got := ""
		if w := c.WatchFor(zone, a); w != nil {
			got = w.Name
		}
		if got != want {
			t.Fatalf("WatchFor(%s, %s) = %q, want %q\n%s", zone, a, got, want, text)
		}
		for i := range c.Watches {
			w := &c.Watches[i]
			if w.Zone == zone && c.Scope(w).Contains(a) != (w.Name == want) {
				t.Fatalf("Scope(%s) has %s: %t, want %q\n%s", w.Name, a, w.Name != want, want, text)
			}
		}
	}
}

func TestAllowedNeverTouchesNonHosts(t *testing.T) {
	c := Default()
	for _, s := range []string{"0.0.0.0", "224.0.0.251", "255.255.255.255", "::", "ff02::1", "::ffff:224.0.0.1"} {
		if c.Allowed(netip.MustParseAddr(s)) {
			t.Errorf("Allowed(%s)", s)
		}
	}
	if c.Allowed(netip.Addr{}) || !c.Allowed(netip.MustParseAddr("::ffff:192.0.2.1")) {
		t.Error("Allowed is wrong for the zero or a mapped address")
	}
}

func TestFeasible(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // watch, key, part of the reason
	}{
		{"reference", string(Reference), nil},
		{"a /24 with the default ports", "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\n", nil},
		{"all ports of a /24 within the hour", "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\ntcp_ports='1-65535'\n",
			[]string{"a discover_every one pass of 256 addresses and 65545 ports is 33559040 tries"}},
		{"one host too fast", "[[watch]]\nname='a'\ntargets=['10.0.0.1']\ntcp_ports='1-65535'\ndiscover_every='30m'\nverify_every='1s'\n",
			[]string{"a discover_every take 54m38s", "a verify_every takes 10s"}},
		{"loopback has no limit per host", "[[watch]]\nname='a'\ntargets=['127.0.0.1']\ntcp_ports='1-65535'\ndiscover_every='30m'\n", nil},
		{"too many to verify", "[[watch]]\nname='a'\ntargets=['10.0.0.0/16']\ntcp_ports='22'\nverify_every='10s'\n",
			[]string{"a verify_every with 10 services each take", "a discover_every one pass of 65536 addresses and 11 ports"}},
		{"all that there is", "[[watch]]\nname='a'\ntargets=['10.0.0.0/20']\ndiscover_every='1m'\nverify_every='5s'\necho=true\nhosts_every='10s'\n",
			[]string{"a verify_every with 10 services each take", "a hosts_every looking for 4096 hosts takes 123 %",
				"a discover_every one pass of 4096 addresses", "a verify_every takes 10s"}},
		{"a network of IPv6", "[[watch]]\nname='a'\ntargets=['fd00::/64']\nhosts_most=65536\n",
			[]string{"a verify_every visits to 65536 addresses", "a hosts_every looking for 65536 hosts", "a discover_every one pass of 65536 addresses"}},
		{"a network of IPv6 with few hosts", "[[watch]]\nname='a'\ntargets=['fd00::/64']\n", nil},
		{"best effort", "[[watch]]\nname='a'\ntargets=['10.0.0.0/16']\ntcp_ports='22'\nverify_every='10s'\nbest_effort=true\n", nil},
		{"two that fit alone", "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\ndiscover_every='40m'\n" +
			"[[watch]]\nname='b'\ntargets=['10.0.1.0/24']\ndiscover_every='40m'\n",
			[]string{"a discover_every all watches together", "b discover_every all watches together"}},
	} {
		c, err := parse(tt.text)
		if err != nil {
			c, err = parse(strings.ReplaceAll(tt.text, "[[watch]]\n", "[[watch]]\nbest_effort=true\n"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.Watches {
				c.Watches[i].BestEffort = false
			}
		}
		ps := c.Feasible(Costing{})
		if len(ps) != len(tt.want) {
			t.Errorf("%s: problems %v, want %d", tt.name, ps, len(tt.want))
			continue
		}
		for i, p := range ps {
			f := strings.SplitN(tt.want[i], " ", 3)
			if p.Watch != f[0] || p.Key != f[1] || !strings.Contains(p.Reason, f[2]) {
				t.Errorf("%s: problem %+v, want %q", tt.name, p, tt.want[i])
			}
		}
	}
}

// What a problem says is enough must be enough.
func TestFeasibleRemedyWorks(t *testing.T) {
	for _, text := range []string{
		"[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\ntcp_ports='1-65535'\n",
		"[[watch]]\nname='a'\ntargets=['10.0.0.0/20']\n",
		"[[watch]]\nname='a'\ntargets=['10.0.0.0/16']\ntcp_ports='22'\nverify_every='10s'\n",
		"[[watch]]\nname='a'\ntargets=['10.0.0.1']\ntcp_ports='-'\ndiscover_every='1m'\n",
	} {
		for range 4 {
			_, err := parse(text)
			if err == nil {
				break
			}
			mistakes, ok := errors.AsType[Errors](err)
			if !ok {
				t.Fatal(err)
			}
			e := mistakes[0]
			key := strings.TrimPrefix(e.Key, "watch.")
			for _, cue := range []string{"; write ", "take ", "takes "} {
				if _, rest, ok := strings.Cut(e.Reason, cue); ok && (rest[0] >= '0' && rest[0] <= '9') {
					value, _, _ := strings.Cut(rest, " ")
					text += fmt.Sprintf("%s = %q\n", key, value)
					break
				}
			}
			text = lastWins(text)
		}
		if _, err := parse(text); err != nil {
			t.Errorf("still not feasible after obeying the remedies: %v\n%s", err, text)
		}
	}
}

// lastWins drops earlier settings of a key that a later line sets.
func lastWins(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	key := func(l string) string { k, _, _ := strings.Cut(l, "="); return strings.TrimSpace(k) }
	var out []string
	for i, l := range lines {
		again := false
		for _, m := range lines[i+1:] {
			again = again || key(m) == key(l)
		}
		if !again {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n") + "\n"
}
