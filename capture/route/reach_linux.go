package route

import (
	"iter"
	"net/netip"
)

// Reach yields how the addresses of a prefix are reached, in stretches in
// ascending order, with an error where they are not. It answers which interface
// reaches a watch, and which parts of it are on a link. Neighbouring stretches
// may be alike. Between two stretches the routes may change.
//
// A stretch whose destinations the kernel spreads over several routers, and all
// of a table of more than 100,000 routes, is told as its first address is.
func (t *Table) Reach(p netip.Prefix, via string) iter.Seq2[Span, error] {
	return func(yield func(Span, error) bool) {
		p = p.Masked()
		s, err := t.snapshot()
		if err != nil {
			yield(Span{First: p.Addr()}, err)
			return
		}
		end := lastOf(p)
		for first := p.Addr(); first.IsValid() && !end.Less(first); {
			sp := Span{First: first, Last: end}
			if last := s.lastOfCell(first); last.Less(end) {
				sp.Last = last
			}
			sp.Hop, err = t.Hop(first, via)
			if !yield(sp, err) {
				return
			}
			first = sp.Last.Next()
		}
	}
}

func (s *snapshot) lastOfCell(a netip.Addr) netip.Addr {
	if a.Is4() {
		if s.each {
			return addr4(1<<32 - 1)
		}
		return addr4(s.cells.last4(s.cells.find4(number4(a))))
	}
	if s.each {
		return addr6(u128{1<<64 - 1, 1<<64 - 1})
	}
	return addr6(s.cells.last6(s.cells.find6(number6(a))))
}

// lastOf gives the last address of a masked prefix.
func lastOf(p netip.Prefix) netip.Addr {
	c := cells{}
	if p.Addr().Is4() {
		c.add4(p)
		return addr4(c.last4(0))
	}
	c.add6(p)
	return addr6(c.last6(0))
}
