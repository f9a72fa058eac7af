package passive

import (
	"net/netip"
	"slices"
	"time"
)

// evictAmong is how many entries are looked at for one that makes room. The
// oldest of 16 that a map yields at random is among the oldest fifth with
// 1 - 0.8^16 = 97 %.
const evictAmong = 16

// An addresses is the IPv6 addresses that were seen, with when they last were,
// and no more than most of them: who was not seen for long makes room, so that
// what is forged once leaves before what is there.
type addresses struct {
	last map[netip.Addr]time.Time
	most int
}

// seen notes an address. A known one costs no allocation.
func (s *addresses) seen(a netip.Addr, now time.Time) {
	if _, known := s.last[a]; !known && len(s.last) >= s.most {
		s.evict()
	}
	s.last[a] = now
}

// again notes an address that is known already.
func (s *addresses) again(a netip.Addr, now time.Time) {
	if _, known := s.last[a]; known {
		s.last[a] = now
	}
}

func (s *addresses) evict() {
	var oldest netip.Addr
	looked := 0
	for a, at := range s.last {
		if looked == 0 || at.Before(s.last[oldest]) {
			oldest = a
		}
		if looked++; looked == evictAmong {
			break
		}
	}
	delete(s.last, oldest)
}

// list gives the addresses that were seen within addressKeep, in order, and
// forgets the others.
func (s *addresses) list(now time.Time) []netip.Addr {
	var out []netip.Addr
	for a, at := range s.last {
		if now.Sub(at) > addressKeep {
			delete(s.last, a)
			continue
		}
		out = append(out, a)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
