package config

import (
	"net/netip"
	"testing"
)

// Of a scope that part is walked which lies in small targets, and no other; both
// together are the scope, whatever is excluded or belongs to another watch.
func TestWalkedAndNetworks(t *testing.T) {
	c, err := Parse([]Source{{"t.toml", []byte(`
[[watch]]
name = "wide"
targets = ["10.0.0.0/24", "fd00::/64", "fd00::5", "fd00::1:0/120"]
exclude = ["fd00::9", "fd00::1:7"]
best_effort = true
[[watch]]
name = "inner"
targets = ["fd00::aaaa:0:0/96"]
best_effort = true
[[watch]]
name = "four"
targets = ["10.9.0.0/24"]
best_effort = true
`)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wide, inner, four := &c.Watches[0], &c.Watches[1], &c.Watches[2]
	if n := c.Walked(wide).Len(); n != 256+1+255 {
		t.Errorf("%d addresses are walked, want 512", n)
	}
	for a, want := range map[string][2]bool{ // walked, of a network
		"10.0.0.7": {true, false}, "fd00::5": {true, false}, "fd00::6": {false, true}, "fd00::9": {},
		"fd00::1:6": {true, false}, "fd00::1:7": {}, "fd00::1:100": {false, true}, "fd00::aaaa:0:1": {}, "fd01::": {},
	} {
		x := netip.MustParseAddr(a)
		if got := [2]bool{c.Walked(wide).Contains(x), c.Networks(wide).Contains(x)}; got != want {
			t.Errorf("%s: walked and of a network %v, want %v", a, got, want)
		}
		if in := c.Scope(wide).Contains(x); in != (want[0] || want[1]) {
			t.Errorf("%s: in scope %v", a, in)
		}
	}
	if c.Walked(inner).Len() != 0 || !c.Networks(inner).Contains(netip.MustParseAddr("fd00::aaaa:0:1")) {
		t.Error("a /96 is walked")
	}
	if !c.Searches(wide) || !c.Searches(inner) || c.Searches(four) {
		t.Error("hosts are looked for in the wrong watches")
	}
	x := c.Cost(wide, Costing{SYN: true})
	if x.Addrs != 512+256 || x.Hosts != 256 || x.SearchPerSecond <= 0 {
		t.Errorf("cost %+v", x)
	}
}

// TestCallsAllNodes: where an exclude names a part of a network, nobody there is
// called, unless that was written.
func TestCallsAllNodes(t *testing.T) {
	const watch = "[[watch]]\nname='w'\ntargets=['fd00::/64','fd01::/120']\n"
	for _, c := range []struct {
		more string
		want bool
	}{
		{"", true},
		{"all_nodes='never'\n", false},
		{"exclude=['fd00::9']\n", false},
		{"exclude=['fd00::9']\nall_nodes='always'\n", true},
		{"exclude=['fd00::/48']\n", false},
		{"exclude=['fd01::9']\n", true}, // of a target that is walked
		{"exclude=['fd02::9']\n", true},
	} {
		cfg, err := parse(watch + c.more)
		if err != nil {
			t.Fatal(c.more, err)
		}
		if got := cfg.CallsAllNodes(&cfg.Watches[0]); got != c.want {
			t.Errorf("%q: %v", c.more, got)
		}
	}
}
