package config

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Range is a run of addresses of one family, both ends included. Its ends
// are never IPv4-mapped; a scoped address ("fe80::1%eth0") is a range whose
// ends carry the same zone.
type Range struct{ First, Last netip.Addr }

// ParseRange reads an address ("192.0.2.1", "fe80::1%eth0"), a CIDR prefix
// ("192.0.2.0/24") or a run ("192.0.2.1-192.0.2.9", "192.0.2.1-9").
func ParseRange(s string) (Range, error) {
	switch {
	case s == "":
		return Range{}, fmt.Errorf("empty; write an address, a CIDR prefix or first-last")
	case strings.Contains(s, "/"):
		return parsePrefix(s)
	case strings.Contains(s, "-") && !strings.Contains(s, "%"):
		return parseRun(s)
	}
	a, err := parseAddr(s)
	return Range{a, a}, err
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%.80q is no address; write one like 192.0.2.1 or 2001:db8::1, "+
			"a CIDR prefix or first-last (names are not looked up)", s)
	}
	return a.Unmap(), nil
}

func parsePrefix(s string) (Range, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return Range{}, fmt.Errorf("%.80q is no CIDR prefix; write one like 192.0.2.0/24 or 2001:db8::/120", s)
	}
	if p.Addr() != p.Masked().Addr() {
		return Range{}, fmt.Errorf("%q has bits set right of its mask; write %s for the network or %s for the address",
			s, p.Masked(), p.Addr())
	}
	return PrefixRange(p), nil
}

// PrefixRange gives the addresses of a prefix.
func PrefixRange(p netip.Prefix) Range {
	p = p.Masked()
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	first := p.Addr()
	last := first.AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return Range{first, end}
}

func parseRun(s string) (Range, error) {
	left, right, _ := strings.Cut(s, "-")
	first, err := parseAddr(left)
	if err != nil {
		return Range{}, err
	}
	if n, err := strconv.ParseUint(right, 10, 8); err == nil && first.Is4() {
		b := first.As4()
		b[3] = byte(n)
		right = netip.AddrFrom4(b).String()
	}
	last, err := parseAddr(right)
	if err != nil {
		return Range{}, err
	}
	if last.Zone() != "" {
		return Range{}, fmt.Errorf("%q: a run has no %%zone; write single addresses", s)
	}
	if first.BitLen() != last.BitLen() {
		return Range{}, fmt.Errorf("%q mixes IPv4 and IPv6; write one run for each", s)
	}
	if last.Less(first) {
		return Range{}, fmt.Errorf("%q ends before it begins; swap its ends", s)
	}
	return Range{first, last}, nil
}

// String gives the range the way it would be written: as an address, as a
// prefix where one fits, else as "first-last".
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	if p, ok := r.prefix(); ok {
		return p.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

func (r Range) prefix() (netip.Prefix, bool) {
	for n := r.First.BitLen(); n >= 0; n-- {
		p := netip.PrefixFrom(r.First, n)
		if p.Masked().Addr() != r.First {
			break
		}
		if PrefixRange(p) == r {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// Contains says whether a, unmapped, lies in r. A range without a zone holds
// an address of every zone: an exclude of fe80::/10 means them all.
func (r Range) Contains(a netip.Addr) bool {
	a = a.Unmap()
	if r.First.Zone() == "" {
		a = a.WithZone("")
	}
	return a.BitLen() == r.First.BitLen() && a.Zone() == r.First.Zone() &&
		!a.Less(r.First) && !r.Last.Less(a)
}

// Overlaps says whether some address lies in both.
func (r Range) Overlaps(o Range) bool {
	if r.First.BitLen() != o.First.BitLen() {
		return false
	}
	if rz, oz := r.First.Zone(), o.First.Zone(); rz == "" || oz == "" {
		r = Range{r.First.WithZone(""), r.Last.WithZone("")}
		o = Range{o.First.WithZone(""), o.Last.WithZone("")}
	} else if rz != oz {
		return false
	}
	return !r.Last.Less(o.First) && !o.Last.Less(r.First)
}

// Size counts the addresses; math.MaxUint64 stands for that many or more.
func (r Range) Size() uint64 {
	hi1, lo1 := halves(r.First)
	hi2, lo2 := halves(r.Last)
	lo, borrow := bits.Sub64(lo2, lo1, 0)
	hi, _ := bits.Sub64(hi2, hi1, borrow)
	if hi != 0 || lo == math.MaxUint64 {
		return math.MaxUint64
	}
	return lo + 1
}

func halves(a netip.Addr) (hi, lo uint64) {
	if a.Is4() {
		b := a.As4()
		return 0, uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// advance gives the address n after a; n stays within the range it was
// counted in, so nothing overflows.
func advance(a netip.Addr, n uint64) netip.Addr {
	hi, lo := halves(a)
	lo, carry := bits.Add64(lo, n, 0)
	hi += carry
	if a.Is4() {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b).WithZone(a.Zone())
}

// An AddrSet is an immutable set of addresses. Lookups take logarithmic time
// in the number of disjoint ranges. The zero AddrSet is empty.
type AddrSet struct {
	ranges []Range // sorted, disjoint, not adjacent
}

// NewAddrSet joins ranges.
func NewAddrSet(ranges ...Range) AddrSet {
	in := slices.Clone(ranges)
	slices.SortFunc(in, compareRanges)
	var out []Range
	for _, r := range in {
		if n := len(out); n > 0 && joins(out[n-1], r) {
			if out[n-1].Last.Less(r.Last) {
				out[n-1].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return AddrSet{out}
}

// compareRanges sorts by family, then zone, then first address.
func compareRanges(a, b Range) int {
	if c := a.First.BitLen() - b.First.BitLen(); c != 0 {
		return c
	}
	if c := strings.Compare(a.First.Zone(), b.First.Zone()); c != 0 {
		return c
	}
	return a.First.Compare(b.First)
}

// joins says whether b, not before a, touches or overlaps it.
func joins(a, b Range) bool {
	if a.First.BitLen() != b.First.BitLen() || a.First.Zone() != b.First.Zone() {
		return false
	}
	return !a.Last.Less(b.First) || a.Last.Next() == b.First
}

// Ranges gives the disjoint ranges in order.
func (s AddrSet) Ranges() []Range { return slices.Clone(s.ranges) }

// Equal says whether both hold the same addresses.
func (s AddrSet) Equal(o AddrSet) bool { return slices.Equal(s.ranges, o.ranges) }

// Contains says whether a lies in the set.
func (s AddrSet) Contains(a netip.Addr) bool {
	a = a.Unmap()
	return s.find(a) || a.Zone() != "" && s.find(a.WithZone(""))
}

func (s AddrSet) find(a netip.Addr) bool {
	i, ok := slices.BinarySearchFunc(s.ranges, Range{First: a}, compareRanges)
	return ok || i > 0 && s.ranges[i-1].Contains(a)
}

// Len counts the addresses; math.MaxUint64 stands for that many or more.
func (s AddrSet) Len() uint64 {
	var n uint64
	for _, r := range s.ranges {
		sum, carry := bits.Add64(n, r.Size(), 0)
		if carry != 0 {
			return math.MaxUint64
		}
		n = sum
	}
	return n
}

// At gives the i-th address in order, i < Len(). Together with a permutation
// it walks the set without a list of it in memory.
func (s AddrSet) At(i uint64) netip.Addr {
	for _, r := range s.ranges {
		n := r.Size()
		if i < n {
			return advance(r.First, i)
		}
		i -= n
	}
	return netip.Addr{}
}

// All yields the addresses in order.
func (s AddrSet) All() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, r := range s.ranges {
			for a := r.First; ; a = a.Next() {
				if !yield(a) {
					return
				}
				if a == r.Last {
					break
				}
			}
		}
	}
}

// Minus gives the addresses of s that are not in o. A range of o without a
// zone removes that address in every zone.
func (s AddrSet) Minus(o AddrSet) AddrSet {
	var out []Range
	for _, r := range s.ranges {
		out = append(out, subtract(r, o.ranges)...)
	}
	return AddrSet{out}
}

func subtract(r Range, cuts []Range) []Range {
	left := []Range{r}
	for _, c := range cuts {
		if !r.Overlaps(c) {
			continue
		}
		var next []Range
		for _, piece := range left {
			next = append(next, cutOut(piece, c)...)
		}
		left = next
	}
	return left
}

// cutOut gives what is left of r without c: none, one or two ranges.
func cutOut(r, c Range) []Range {
	if !r.Overlaps(c) {
		return []Range{r}
	}
	if c.First.Zone() != r.First.Zone() {
		if c.First.Zone() != "" {
			return []Range{r} // a scoped cut leaves the unscoped address alone
		}
		return nil // r is one scoped address, which c holds
	}
	var out []Range
	if r.First.Less(c.First) {
		out = append(out, Range{r.First, c.First.Prev()})
	}
	if c.Last.Less(r.Last) {
		out = append(out, Range{c.Last.Next(), r.Last})
	}
	return out
}
