package route

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// longest gives the longest of the prefixes that holds a: what two addresses
// must share to be decided alike.
func longest(list []netip.Prefix, a netip.Addr) netip.Prefix {
	var best netip.Prefix
	for _, p := range list {
		if p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
			best = p.Masked()
		}
	}
	return best
}

func TestAddressesOfACellShareAllPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var list []netip.Prefix
		for range r.IntN(20) {
			list = append(list, randomPrefix(r))
		}
		if r.IntN(2) == 0 {
			list = append(list, special...)
		}
		c := newCells(list)
		for range 100 {
			p := randomPrefix(r)
			if len(list) > 0 && r.IntN(4) > 0 {
				p = list[r.IntN(len(list))] // near an edge
			}
			checkCell(t, &c, list, p.Masked().Addr())
			checkCell(t, &c, list, p.Masked().Addr().Prev())
			checkCell(t, &c, list, p.Addr())
		}
	}
}

func checkCell(t *testing.T, c *cells, list []netip.Prefix, a netip.Addr) {
	t.Helper()
	if !a.IsValid() {
		return
	}
	var first, last netip.Addr
	if a.Is4() {
		i := c.find4(number4(a))
		first, last = addr4(c.v4[i]), addr4(c.last4(i))
	} else {
		i := c.find6(number6(a))
		first, last = addr6(c.v6[i]), addr6(c.last6(i))
	}
	if a.Less(first) || last.Less(a) {
		t.Fatalf("%s is outside of its cell %s-%s", a, first, last)
	}
	want := longest(list, a)
	for _, b := range []netip.Addr{first, last} {
		if got := longest(list, b); got != want {
			t.Fatalf("cell %s-%s: %s is in %v, %s in %v", first, last, a, want, b, got)
		}
	}
}

func randomPrefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		return netip.PrefixFrom(addr4(r.Uint32()), r.IntN(33))
	}
	return netip.PrefixFrom(addr6(u128{r.Uint64(), r.Uint64()}), r.IntN(129))
}

func TestLastAddresses(t *testing.T) {
	for _, text := range []string{"255.255.255.255/32", "128.0.0.0/1", "0.0.0.0/0", "::/0", "8000::/1",
		"ffff:ffff:ffff:ffff::/64", "2001:db8:0:0:ffff:ffff:ffff:ffff/128", "2001:db8::/64",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "2001:db8::8000:0:0:0/65"} {
		list := []netip.Prefix{netip.MustParsePrefix(text)}
		c := newCells(list)
		checkCell(t, &c, list, list[0].Addr())
	}
}
