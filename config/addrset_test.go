package config

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	for _, tt := range []struct {
		in, want string // want "!…": the error has this
		size     uint64
	}{
		{"192.0.2.1", "192.0.2.1", 1},
		{"::ffff:192.0.2.1", "192.0.2.1", 1},
		{"::ffff:192.0.2.0/120", "192.0.2.0/24", 256},
		{"192.0.2.0/24", "192.0.2.0/24", 256},
		{"0.0.0.0/0", "0.0.0.0/0", 1 << 32},
		{"192.0.2.1-9", "192.0.2.1-192.0.2.9", 9},
		{"192.0.2.0-192.0.2.255", "192.0.2.0/24", 256},
		{"192.0.2.255-192.0.3.0", "192.0.2.255-192.0.3.0", 2},
		{"2001:db8::/112", "2001:db8::/112", 1 << 16},
		{"2001:db8::/64", "2001:db8::/64", math.MaxUint64},
		{"::/0", "::/0", math.MaxUint64},
		{"2001:db8::fffe-2001:db8::1:1", "2001:db8::fffe-2001:db8::1:1", 4},
		{"fe80::1%eth0", "fe80::1%eth0", 1},
		{"fe80::1%br-lan", "fe80::1%br-lan", 1},
		{"", "!empty", 0},
		{"localhost", "!names are not looked up", 0},
		{"192.0.2.1/24", "!write 192.0.2.0/24 for the network", 0},
		{"192.0.2.0/33", "!no CIDR prefix", 0},
		{"fe80::1%eth0/64", "!no CIDR prefix", 0},
		{"192.0.2.9-1", "!swap", 0},
		{"192.0.2.9-2001:db8::1", "!mixes", 0},
		{"192.0.2.9-300", "!no address", 0},
		{"192.0.2.9-", "!no address", 0},
		{"-", "!no address", 0},
		{"192.0.2.1 ", "!no address", 0},
	} {
		got, err := ParseRange(tt.in)
		if part, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("ParseRange(%q) = %v, %v; want an error with %q", tt.in, got, err, part)
			}
			continue
		}
		if err != nil || got.String() != tt.want || got.Size() != tt.size {
			t.Errorf("ParseRange(%q) = %s (%d), %v; want %s (%d)", tt.in, got, got.Size(), err, tt.want, tt.size)
		}
	}
}

func mustRange(t testing.TB, s string) Range {
	t.Helper()
	r, err := ParseRange(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAddrSetZones(t *testing.T) {
	scoped := NewAddrSet(mustRange(t, "fe80::1%eth0"), mustRange(t, "fe80::2%eth1"), mustRange(t, "10.0.0.1"))
	all := NewAddrSet(mustRange(t, "fe80::/10"))
	one := netip.MustParseAddr("fe80::1%eth0")
	if !scoped.Contains(one) || !all.Contains(one) || scoped.Contains(one.WithZone("")) || scoped.Contains(one.WithZone("eth1")) {
		t.Error("an address with a zone is in sets of that zone and of none")
	}
	if got := scoped.Minus(all).Ranges(); len(got) != 1 || got[0].First != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("scoped without fe80::/10 = %v", got)
	}
	if got := all.Minus(scoped); !got.Equal(all) {
		t.Errorf("a scoped cut removed the unscoped: %v", got.Ranges())
	}
}

// randomSet draws ranges from 256 addresses around a carry of both families,
// and gives the same set as a map.
func randomSet(rng *rand.Rand) (AddrSet, map[netip.Addr]bool) {
	bases := []netip.Addr{netip.MustParseAddr("10.0.0.192"), netip.MustParseAddr("fd00::ffff:ffff:ffff:ffc0")}
	var rs []Range
	in := map[netip.Addr]bool{}
	for range rng.IntN(6) {
		first := advance(bases[rng.IntN(2)], rng.Uint64N(128))
		r := Range{first, advance(first, rng.Uint64N(40))}
		rs = append(rs, r)
		for a := r.First; !r.Last.Less(a); a = a.Next() {
			in[a] = true
		}
	}
	return NewAddrSet(rs...), in
}

func TestAddrSetAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		a, inA := randomSet(rng)
		b, inB := randomSet(rng)
		diff := a.Minus(b)
		if a.Len() != uint64(len(inA)) {
			t.Fatalf("%v has Len %d, want %d", a, a.Len(), len(inA))
		}
		i, kept := uint64(0), uint64(0)
		for x := range a.All() {
			if !inA[x] || !a.Contains(x) || a.At(i) != x {
				t.Fatalf("%v: element %d is %s, At gives %s", a, i, x, a.At(i))
			}
			if k, ok := a.Index(x); !ok || k != i {
				t.Fatalf("%v: element %d is %s, Index gives %d, %v", a, i, x, k, ok)
			}
			if diff.Contains(x) == inB[x] {
				t.Fatalf("%v minus %v is wrong at %s", a, b, x)
			}
			if !inB[x] {
				kept++
			}
			i++
		}
		if i != a.Len() || diff.Len() != kept {
			t.Fatalf("%v: %d elements walked; minus %v has %d, want %d", a, i, b, diff.Len(), kept)
		}
		for x := range inB {
			if a.Contains(x) != inA[x] {
				t.Fatalf("%v.Contains(%s) = %t", a, x, !inA[x])
			}
		}
		if joined := NewAddrSet(slices.Concat(a.Ranges(), b.Ranges())...); joined.Len() != diff.Len()+b.Len() {
			t.Fatalf("%v and %v join to %d", a, b, joined.Len())
		}
	}
}

func TestAddrSetEnds(t *testing.T) {
	whole := NewAddrSet(mustRange(t, "0.0.0.0/0"), mustRange(t, "::/0"))
	if whole.Len() != math.MaxUint64 || !whole.Contains(netip.MustParseAddr("255.255.255.255")) {
		t.Error("the whole internet is not whole")
	}
	if left := whole.Minus(whole); left.Len() != 0 {
		t.Errorf("left over: %v", left)
	}
	end := NewAddrSet(mustRange(t, "255.255.255.254/31"))
	if got := slices.Collect(end.All()); len(got) != 2 {
		t.Errorf("walk at the end of IPv4: %v", got)
	}
	if (AddrSet{}).At(0).IsValid() {
		t.Error("the empty set has an element")
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "192.0.2.0/24", "192.0.2.1-9", "fe80::1%eth0", "::ffff:1.2.3.4/120",
		"2001:db8::1-2001:db8::2", "0.0.0.0/0", "::/0", "1.2.3.4-1.2.3.3", "a-b", "/", "1.2.3.4/-1", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			return
		}
		again, err := ParseRange(r.String())
		if err != nil || again != r {
			t.Fatalf("%q reads as %v, prints as %q, which reads as %v, %v", s, r, r.String(), again, err)
		}
		if !r.Contains(r.First) || !r.Contains(r.Last) || r.Size() == 0 {
			t.Fatalf("%q: %v does not hold its ends", s, r)
		}
		set := NewAddrSet(r)
		if set.At(0) != r.First || set.Len() != r.Size() || set.Minus(set).Len() != 0 {
			t.Fatalf("%q: a set of %v is not it", s, r)
		}
	})
}
