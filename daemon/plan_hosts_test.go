package main

import (
	"iter"
	"net/netip"
	"strings"
	"testing"

	"sonde/capture/route"
)

// A plan says of large networks how their hosts are found, and of nothing that
// does not hold on this machine.
func TestHostsPlan(t *testing.T) {
	onEth0 := func(p netip.Prefix, _ string) iter.Seq2[way, error] {
		return func(yield func(way, error) bool) {
			yield(way{Interface: "eth0", OnLink: p.Addr().Is6() && p.Overlaps(netip.MustParsePrefix("fd00::/64"))}, nil)
		}
	}
	for _, tt := range []struct {
		name, keys string
		packets    bool
		want       string // "" for none
	}{
		{"walked", "targets=['10.0.0.0/24','fd00::/120']\nbest_effort=true\n", true, ""},
		{"walked, by echo", "targets=['10.0.0.0/24']\necho=true\n", true, "looked for every 10m: echo"},
		{"walked, no leave", "targets=['10.0.0.0/24']\necho=true\n", false, "looked for every 10m: no echo, which needs CAP_NET_RAW"},
		{"network", "targets=['fd00::/64','fd00::1']\nnames=['www.example']\nhosts_every='1m'\n", true,
			"up to 256 of fd00::/64, which no sweep walks; looked for every 1m: names; the kernel's neighbours on eth0; " +
				"calls to all nodes, neighbour discovery and multicast reports on eth0; listening"},
		{"network, no calls", "targets=['fd00::/64']\nall_nodes='never'\nhosts_most=9\n", true,
			"up to 9 of fd00::/64, which no sweep walks; looked for every 10m: the kernel's neighbours on eth0; listening"},
		{"network, no leave", "targets=['fd00::/64']\n", false,
			"up to 256 of fd00::/64, which no sweep walks; looked for every 10m: the kernel's neighbours on eth0; nothing else without CAP_NET_RAW"},
		{"network behind a router", "targets=['fd01::/64']\nall_nodes='never'\n", true,
			"up to 256 of fd01::/64, which no sweep walks; looked for every 10m: the kernel's neighbours on no link, as routers lie between; listening"},
	} {
		cfg := parseConfig(t, "[[watch]]\nname='w'\ntcp_ports='22'\nudp_ports=''\n"+tt.keys)
		got := ""
		if h := newHostsPlan(cfg, &cfg.Watches[0], tt.packets, onEth0); h != nil {
			got = h.String()
		}
		if got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// What is advised is enough, and nothing is advised where that was enough.
func TestNeighborPlan(t *testing.T) {
	for _, onLink := range []uint64{1, 254, 896, 897, 1022, 65534, 1 << 20} {
		p := newNeighborPlan(4, onLink, route.Neighborhood{Thresh2: 512, Thresh3: 1024})
		if (p.Advice != "") != (onLink > 896) {
			t.Errorf("%d: %q", onLink, p.Advice)
		}
		if p.Advice == "" {
			continue
		}
		need := int((onLink*8 + 6) / 7)
		if again := newNeighborPlan(4, onLink, route.Neighborhood{Thresh2: need / 2, Thresh3: need}); again.Advice != "" {
			t.Errorf("%d: %s is not enough: %s", onLink, p.Advice, again.Advice)
		}
		if !strings.Contains(p.Advice, "net.ipv4.neigh.default.gc_thresh3 = ") {
			t.Error(p.Advice)
		}
	}
}
