package config

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
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
	e := r.extent()
	if e.hi != 0 || e.lo == math.MaxUint64 {
		return math.MaxUint64
	}
	return e.lo + 1
}

// An extent is the number of addresses of a range but one, in two halves: unlike
// Size it tells large networks of IPv6 apart.
type extent struct{ hi, lo uint64 }

func (r Range) extent() extent {
	hi1, lo1 := halves(r.First)
	hi2, lo2 := halves(r.Last)
	lo, borrow := bits.Sub64(lo2, lo1, 0)
	hi, _ := bits.Sub64(hi2, hi1, borrow)
	return extent{hi, lo}
}

func (e extent) less(o extent) bool { return e.hi < o.hi || e.hi == o.hi && e.lo < o.lo }

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
