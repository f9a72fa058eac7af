// Package ports reads, holds and names sets of TCP and UDP ports.
//
// A [Set] never changes after it was made, so any number of goroutines may
// share it. Its text form is canonical: two sets are equal if and only if
// their strings are, and [ParseNumbers] gives back the same set.
//
// One grammar serves configuration files, the -p option and probe files; see
// [Parse] for the whole of it and [ParseNumbers] for the part that is allowed
// in the ports lines of probe files.
package ports

import (
	"iter"
	"slices"
	"strconv"
)

// The transports that port lists and names distinguish. They are untyped, so
// that they fit every string type.
const (
	TCP = "tcp"
	UDP = "udp"
)

// maxPort is the highest port number of TCP and UDP.
const maxPort = 1<<16 - 1

// A Range is all ports from First to Last, both included.
type Range struct{ First, Last uint16 }

// Len counts the ports of r.
func (r Range) Len() int { return int(r.Last) - int(r.First) + 1 }

// A Set is an immutable set of ports from 0 to 65535. The zero Set is empty.
type Set struct {
	ranges []Range // ascending; a port at least lies between two of them
}

// Of gives the set of the listed ports.
func Of(list ...uint16) Set {
	rs := make([]Range, len(list))
	for i, p := range list {
		rs[i] = Range{p, p}
	}
	return OfRanges(rs...)
}

// OfRanges gives the union of the ranges, which may overlap and stand in any
// order. A range whose First is above its Last is empty.
func OfRanges(list ...Range) Set {
	rs := slices.DeleteFunc(slices.Clone(list), func(r Range) bool { return r.First > r.Last })
	slices.SortFunc(rs, func(a, b Range) int { return int(a.First) - int(b.First) })
	n := 0
	for _, r := range rs {
		if n > 0 && int(r.First) <= int(rs[n-1].Last)+1 {
			rs[n-1].Last = max(rs[n-1].Last, r.Last)
			continue
		}
		rs[n] = r
		n++
	}
	if n == 0 {
		return Set{}
	}
	return Set{slices.Clip(rs[:n])}
}

// Contains tells whether port is in s. It costs a binary search.
func (s Set) Contains(port uint16) bool {
	_, found := slices.BinarySearchFunc(s.ranges, port, func(r Range, p uint16) int {
		switch {
		case r.Last < p:
			return -1
		case r.First > p:
			return 1
		}
		return 0
	})
	return found
}

// Len counts the ports of s.
func (s Set) Len() int {
	n := 0
	for _, r := range s.ranges {
		n += r.Len()
	}
	return n
}

// IsEmpty tells whether s has no port.
func (s Set) IsEmpty() bool { return len(s.ranges) == 0 }

// Equal tells whether s and t hold the same ports.
func (s Set) Equal(t Set) bool { return slices.Equal(s.ranges, t.ranges) }

// All yields the ports of s in ascending order.
func (s Set) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for _, r := range s.ranges {
			for p := int(r.First); p <= int(r.Last); p++ {
				if !yield(uint16(p)) {
					return
				}
			}
		}
	}
}

// Ranges yields the ports of s as ranges in ascending order; none touches the
// next.
func (s Set) Ranges() iter.Seq[Range] { return slices.Values(s.ranges) }

// Union gives the ports that are in s or in t.
func (s Set) Union(t Set) Set {
	switch {
	case t.IsEmpty():
		return s
	case s.IsEmpty():
		return t
	}
	return OfRanges(slices.Concat(s.ranges, t.ranges)...)
}

// Minus gives the ports of s that are not in t.
func (s Set) Minus(t Set) Set {
	var out []Range
	j := 0
	for _, r := range s.ranges {
		first := int(r.First)
		for ; j < len(t.ranges) && int(t.ranges[j].Last) < first; j++ {
		}
		k := j
		for ; k < len(t.ranges) && t.ranges[k].First <= r.Last; k++ {
			if cut := int(t.ranges[k].First); first < cut {
				out = append(out, Range{uint16(first), uint16(cut - 1)})
			}
			first = int(t.ranges[k].Last) + 1
		}
		if first <= int(r.Last) {
			out = append(out, Range{uint16(first), r.Last})
		}
	}
	return Set{out}
}

// Intersect gives the ports that are both in s and in t.
func (s Set) Intersect(t Set) Set { return s.Minus(s.Minus(t)) }

// String is the canonical form: ascending numbers and ranges, separated by
// commas without blanks, as in "22,80-85". The empty set is "".
func (s Set) String() string {
	b, _ := s.AppendText(nil)
	return string(b)
}

// AppendText appends the form of [Set.String]. It never fails.
func (s Set) AppendText(b []byte) ([]byte, error) {
	for i, r := range s.ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.First), 10)
		if r.Last != r.First {
			b = append(b, '-')
			b = strconv.AppendUint(b, uint64(r.Last), 10)
		}
	}
	return b, nil
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s Set) MarshalText() ([]byte, error) { return s.AppendText(nil) }

// A List is what a port list with prefixes selects for each transport.
type List struct {
	TCP, UDP Set
}

// IsEmpty tells whether l selects nothing.
func (l List) IsEmpty() bool { return l.TCP.IsEmpty() && l.UDP.IsEmpty() }

// Contains tells whether l has port of transport, "tcp" or "udp".
func (l List) Contains(transport string, port uint16) bool {
	return l.Of(transport).Contains(port)
}

// Of gives the set for transport; it is empty for one that is not known.
func (l List) Of(transport string) Set {
	switch transport {
	case TCP:
		return l.TCP
	case UDP:
		return l.UDP
	}
	return Set{}
}

// Union gives the ports that are in l or in m.
func (l List) Union(m List) List {
	return List{l.TCP.Union(m.TCP), l.UDP.Union(m.UDP)}
}

// String is the shorter of two forms that [Parse] reads back to the same
// list: one with a T: and a U: part, and one in which what both transports
// share stands in front.
func (l List) String() string {
	both := l.TCP.Intersect(l.UDP)
	shared := joinParts(both.String(), l.TCP.Minus(both).String(), l.UDP.Minus(both).String())
	apart := joinParts("", l.TCP.String(), l.UDP.String())
	if len(apart) < len(shared) {
		return apart
	}
	return shared
}

func joinParts(both, tcp, udp string) string {
	out := both
	for _, part := range []struct{ prefix, text string }{{"T:", tcp}, {"U:", udp}} {
		if part.text == "" {
			continue
		}
		if out != "" {
			out += ","
		}
		out += part.prefix + part.text
	}
	return out
}
