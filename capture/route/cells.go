package route

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// cells cuts the addresses of both IP versions into stretches such that two
// addresses of one stretch lie in the same of the given prefixes. So whatever
// is decided by membership in these prefixes is decided alike for them.
//
// Prefixes nest or are disjoint; their first addresses, and those right after
// their last, are all the places where membership changes.
type cells struct {
	v4 []uint32 // the first address of each stretch, ascending from 0
	v6 []u128
}

// u128 is an IPv6 address as a number.
type u128 struct{ hi, lo uint64 }

func (a u128) less(b u128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a u128) compare(b u128) int {
	switch {
	case a.less(b):
		return -1
	case b.less(a):
		return 1
	}
	return 0
}

func number4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func number6(a netip.Addr) u128 {
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

func addr6(n u128) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b)
}

func newCells(prefixes []netip.Prefix) cells {
	c := cells{v4: []uint32{0}, v6: []u128{{}}}
	for _, p := range prefixes {
		if p.Addr().Is4() {
			c.add4(p)
		} else {
			c.add6(p)
		}
	}
	slices.Sort(c.v4)
	slices.SortFunc(c.v6, u128.compare)
	c.v4 = slices.Compact(c.v4)
	c.v6 = slices.Compact(c.v6)
	return c
}

func (c *cells) add4(p netip.Prefix) {
	first := number4(p.Masked().Addr())
	c.v4 = append(c.v4, first)
	if next := uint64(first) + 1<<(32-p.Bits()); next < 1<<32 {
		c.v4 = append(c.v4, uint32(next))
	}
}

func (c *cells) add6(p netip.Prefix) {
	first := number6(p.Masked().Addr())
	c.v6 = append(c.v6, first)
	next := first
	switch bits := p.Bits(); {
	case bits == 0:
		return
	case bits <= 64:
		next.hi += 1 << (64 - bits)
	default:
		if next.lo += 1 << (128 - bits); next.lo < first.lo || next.lo == 0 {
			next.hi++
		}
	}
	if next != (u128{}) { // else the prefix ends with the last address
		c.v6 = append(c.v6, next)
	}
}

// find4 gives the stretch that holds a.
func (c *cells) find4(a uint32) int {
	lo, hi := 0, len(c.v4) // c.v4[lo] <= a, and c.v4[hi] > a if there
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); c.v4[mid] <= a {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// find6 gives the stretch that holds a.
func (c *cells) find6(a u128) int {
	lo, hi := 0, len(c.v6)
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); a.less(c.v6[mid]) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo
}

// last4 gives the last address of stretch i.
func (c *cells) last4(i int) uint32 {
	if i+1 < len(c.v4) {
		return c.v4[i+1] - 1
	}
	return 1<<32 - 1
}

// last6 gives the last address of stretch i.
func (c *cells) last6(i int) u128 {
	if i+1 == len(c.v6) {
		return u128{1<<64 - 1, 1<<64 - 1}
	}
	n := c.v6[i+1]
	if n.lo == 0 {
		n.hi--
	}
	n.lo--
	return n
}

// special are the prefixes of which the kernel knows without a route, by RFC
// 6890, or that decide on the source address by the table of RFC 6724 section
// 2.1. A label table that was changed (ip addrlabel) is not read.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("0.0.0.0/32"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/128"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("::ffff:0.0.0.0/96"),
	netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2001:10::/28"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("ff00::/8"),
}

// truncations gives all prefixes of an own IPv6 address: source address
// selection prefers the one that has the most bits in common with the
// destination (RFC 6724 section 5, rule 8).
func truncations(a netip.Addr, list []netip.Prefix) []netip.Prefix {
	for bits := 1; bits <= 128; bits++ {
		list = append(list, netip.PrefixFrom(a, bits))
	}
	return list
}
