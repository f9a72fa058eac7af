package route

import (
	"errors"
	"net/netip"
	"testing"
)

// known is a table that has all answers, and no kernel.
func known(t testing.TB, routes int) *Table {
	t.Helper()
	prefixes := append([]netip.Prefix{}, special...)
	for i := range routes {
		prefixes = append(prefixes, netip.PrefixFrom(addr4(198<<24|18<<16|uint32(i)<<3), 30))
		prefixes = append(prefixes, netip.PrefixFrom(addr6(u128{0x20010db8_00000000 | uint64(i)<<1, 0}), 64))
	}
	s := &snapshot{links: map[int]Interface{3: {Index: 3, Name: "e1"}}, cells: newCells(prefixes)}
	s.views.Store(&[]*view{})
	for _, via := range []string{"", "e1"} {
		v := s.view(via)
		for i := range v.v4 {
			v.v4[i].Store(&answer{hop: Hop{Link: s.links[3], OnLink: i%2 == 0}})
		}
		for i := range v.v6 {
			v.v6[i].Store(&answer{err: ErrProhibited})
		}
	}
	table := &Table{}
	table.snap.Store(s)
	return table
}

func TestKnownHopsDoNotAllocate(t *testing.T) {
	table := known(t, 1000)
	v4, v6 := netip.MustParseAddr("198.18.9.9"), netip.MustParseAddr("2001:db8::7")
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := table.Hop(v4, "e1"); err != nil {
			t.Error(err)
		}
		if _, err := table.Hop(v6, ""); !errors.Is(err, ErrProhibited) {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkKnownHop(b *testing.B) {
	for _, routes := range []int{10, 10_000} {
		table := known(b, routes)
		for _, c := range []struct{ name, dst, via string }{{"v4", "198.18.9.9", ""}, {"v4-via", "198.18.9.9", "e1"}, {"v6", "2001:db8::7", ""}} {
			b.Run(c.name, func(b *testing.B) {
				b.ReportAllocs()
				dst := netip.MustParseAddr(c.dst)
				for b.Loop() {
					_, _ = table.Hop(dst, c.via)
				}
			})
		}
	}
}
