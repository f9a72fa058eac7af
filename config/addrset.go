package config

import (
	"iter"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

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

// Index is the inverse of At: the number of a in the order of the set.
func (s AddrSet) Index(a netip.Addr) (i uint64, there bool) {
	for _, r := range s.ranges {
		if r.Contains(a) {
			return i + (Range{First: r.First, Last: a}).Size() - 1, true
		}
		i += r.Size()
	}
	return 0, false
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
