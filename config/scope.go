package config

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// Allowed decides whether a may be touched at all, by run, scan and verify
// alike: it is an address of one host, and nothing excludes it. Whether a
// watch asks for it is another question; see WatchFor.
func (c *Config) Allowed(a netip.Addr) bool {
	a = a.Unmap()
	return isHost(a) && !c.Excluded.Contains(a)
}

// isHost says whether a, unmapped, is an address of one host.
func isHost(a netip.Addr) bool {
	for _, n := range notHosts {
		if n.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

// WatchFor gives the watch of a zone that an address belongs to: of those
// that have it in a target, the one whose target is the smallest. It gives
// nil where no watch has it, or it is not Allowed.
//
// It looks at each target of the zone; to walk all addresses of a watch use
// Scope.
func (c *Config) WatchFor(zone string, a netip.Addr) *Watch {
	if !c.Allowed(a) {
		return nil
	}
	var best *Watch
	var smallest extent
	for i := range c.Watches {
		w := &c.Watches[i]
		if w.Zone != zone {
			continue
		}
		for _, t := range w.Targets {
			if n := t.extent(); t.Contains(a) && (best == nil || n.less(smallest)) {
				best, smallest = w, n
			}
		}
	}
	return best
}

// Scope gives exactly the addresses that belong to w, one of c.Watches: its
// targets, without what is excluded and without what belongs to a more
// specific watch of its zone.
func (c *Config) Scope(w *Watch) AddrSet { return c.scope(w, func(Range) bool { return true }) }

// scope gives the part of it that comes from targets which fit.
func (c *Config) scope(w *Watch, fits func(Range) bool) AddrSet {
	var mine []Range
	for _, t := range w.Targets {
		if !fits(t) {
			continue
		}
		cut := c.moreSpecific(w, t)
		mine = append(mine, NewAddrSet(t).Minus(cut).Ranges()...)
	}
	return NewAddrSet(mine...).Minus(c.Excluded)
}

// moreSpecific gives the targets of other watches in the zone of w that are
// smaller than t and overlap it.
func (c *Config) moreSpecific(w *Watch, t Range) AddrSet {
	var out []Range
	for i := range c.Watches {
		o := &c.Watches[i]
		if o.Name == w.Name || o.Zone != w.Zone {
			continue
		}
		for _, ot := range o.Targets {
			if ot.extent().less(t.extent()) && ot.Overlaps(t) {
				out = append(out, ot)
			}
		}
	}
	return NewAddrSet(out...)
}

// A claim is one target of one watch.
type claim struct {
	Range
	watch int
	index int // in Targets
}

// contested finds targets of different watches in one zone that overlap and
// are of the same size, so that neither is the more specific.
func contested(watches []Watch) [][2]claim {
	type class struct {
		zone string
		bits int
		size extent
	}
	classes := map[class][]claim{}
	for i, w := range watches {
		for j, t := range w.Targets {
			k := class{w.Zone, t.First.BitLen(), t.extent()}
			classes[k] = append(classes[k], claim{t, i, j})
		}
	}
	var out [][2]claim
	for _, claims := range classes {
		// Of ranges of one size, sorted by their beginnings, each pair that
		// overlaps has only overlapping neighbours between it.
		slices.SortStableFunc(claims, func(a, b claim) int {
			return cmp.Or(compareRanges(a.Range, b.Range), cmp.Compare(a.watch, b.watch))
		})
		for i := 1; i < len(claims); i++ {
			a, b := claims[i-1], claims[i]
			told := watches[a.watch].Interface != watches[b.watch].Interface // as divided
			if a.watch != b.watch && !told && a.Overlaps(b.Range) {
				out = append(out, [2]claim{a, b})
			}
		}
	}
	return out
}

// The sizes from which a watch needs a second thought.
const (
	maxUnasked = 1 << 16 // a /16, without i_am_authorised
	maxIPv6    = 1 << 16 // a /112: at 1,000 packets/s one port takes a minute
)

// loopback has no device behind it that could be harmed.
var loopback = NewAddrSet(
	PrefixRange(netip.MustParsePrefix("127.0.0.0/8")),
	PrefixRange(netip.MustParsePrefix("::1/128")),
)

// SplitLoopback parts the addresses of this machine's loopback from all others.
func (s AddrSet) SplitLoopback() (near, others AddrSet) {
	others = s.Minus(loopback)
	return s.Minus(others), others
}

// private are the addresses that count as one's own: RFC 1918, RFC 6598,
// link-local, loopback, unique local, and the ranges for benchmarks (RFC 2544)
// and documentation (RFC 3849), which are nobody's.
var private = NewAddrSet(
	PrefixRange(netip.MustParsePrefix("10.0.0.0/8")),
	PrefixRange(netip.MustParsePrefix("172.16.0.0/12")),
	PrefixRange(netip.MustParsePrefix("192.168.0.0/16")),
	PrefixRange(netip.MustParsePrefix("100.64.0.0/10")),
	PrefixRange(netip.MustParsePrefix("169.254.0.0/16")),
	PrefixRange(netip.MustParsePrefix("127.0.0.0/8")),
	PrefixRange(netip.MustParsePrefix("198.18.0.0/15")),
	PrefixRange(netip.MustParsePrefix("::1/128")),
	PrefixRange(netip.MustParsePrefix("fc00::/7")),
	PrefixRange(netip.MustParsePrefix("fe80::/10")),
	PrefixRange(netip.MustParsePrefix("2001:db8::/32")),
)

// CheckTargets says what stands against taking these as targets: ranges that
// are not private or more than a /16 in all, unless authorised, and more IPv6
// addresses than can be walked. The order of the ranges does not matter.
func CheckTargets(targets []Range, authorised bool) error {
	set := NewAddrSet(targets...)
	var six []Range
	for _, r := range set.Ranges() {
		if r.First.Is6() {
			six = append(six, r)
		}
	}
	if n := NewAddrSet(six...).Len(); n > maxIPv6 {
		return fmt.Errorf("%s IPv6 addresses cannot be walked, the limit is a /112 (65,536); "+
			"write the addresses or small prefixes that are in use", many(n))
	}
	if authorised {
		return nil
	}
	if n := set.Len(); n > maxUnasked {
		return fmt.Errorf("%s addresses are more than a /16 (65,536); narrow the targets, "+
			"or set i_am_authorised if you may scan all of them", many(n))
	}
	if public := set.Minus(private).Ranges(); len(public) > 0 {
		return fmt.Errorf("%s is not private; narrow the targets, "+
			"or set i_am_authorised if you may scan it", public[0])
	}
	return nil
}

func many(n uint64) string {
	if n == math.MaxUint64 {
		return "2^64 or more"
	}
	return fmt.Sprint(n)
}
