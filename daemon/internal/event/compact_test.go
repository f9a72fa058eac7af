package event

import (
	"net/netip"
	"testing"
)

func TestCompact(t *testing.T) {
	seen := map[Compact]Key{}
	for _, addr := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "fe80::1%eth1", "fe80::1", "0.0.0.0", "::"} {
		for _, zone := range []string{"default", "lab"} {
			for _, port := range []uint16{0, 22} {
				k := Key{Zone: zone, Addr: netip.MustParseAddr(addr), Transport: "tcp", Port: port}
				c := k.Compact()
				if c.Key() != k || c != k.Compact() {
					t.Errorf("%s becomes %s", k, c.Key())
				}
				if other, ok := seen[c]; ok {
					t.Errorf("%s and %s are the same", k, other)
				}
				seen[c] = k
			}
		}
	}
	a, b := Key{Transport: "tcp"}, Key{Transport: "udp"}
	if a.Compact() == b.Compact() || a.Compact().Key() != a {
		t.Error("keys without an address")
	}
}

func BenchmarkCompact(b *testing.B) {
	k := Key{Zone: "default", Addr: netip.MustParseAddr("192.0.2.1"), Transport: "tcp", Port: 22}
	for b.Loop() {
		if k.Compact().Key() != k {
			b.Fatal("another key")
		}
	}
}
