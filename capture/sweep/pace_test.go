package sweep

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
)

// busiest is the most packets in any span of that length.
func busiest(list []sentPacket, span time.Duration) int {
	most, first := 0, 0
	for i, p := range list {
		for p.at.Sub(list[first].at) >= span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// The budget holds in each window, whatever its length, resets included.
func TestBudgetHoldsAtEveryScale(t *testing.T) {
	for _, perSecond := range []int{1, 7, 100, 1000, 50_000, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answer = func(*frame.Packet, int) []fakeAnswer {
				return []fakeAnswer{{flags: frame.FlagSYN | frame.FlagACK}}
			}
			pace := NewRate(perSecond)
			s := w.sweeper(t, Config{Pace: pace, Tries: 1})
			n := uint32(min(10*perSecond, 30_000))
			began := time.Now()
			got, _ := collect(t, s, tcpPlan(n, 80))
			took := time.Since(began)
			s.Close()
			if len(got) != int(n) {
				t.Errorf("%d of %d told", len(got), n)
			}
			for _, span := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 5 * time.Second} {
				// One packet more as the span's ends both count.
				limit := int(span.Seconds()*float64(perSecond)) + pace.Burst() + 1
				if most := busiest(w.sent, span); most > limit {
					t.Errorf("%d/s: %d packets within %s, limit %d", perSecond, most, span, limit)
				}
			}
			// Probe and reset each, but for the burst; and nothing is left unused.
			want := time.Duration(2*int(n)-pace.Burst()) * time.Second / time.Duration(perSecond)
			if took < want-2*time.Second-time.Duration(n)*time.Second/time.Duration(perSecond) || took > want+2*time.Second {
				t.Errorf("%d/s: %d packets and as many resets took %s, want about %s", perSecond, n, took, want)
			}
		})
	}
}

// One host with all its ports is asked at its own rate, which takes neither
// more packets nor more looks than that.
func TestHostBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		looks := 0
		hosts := &countedHosts{NewHosts(40), &looks}
		s := w.sweeper(t, Config{Hosts: hosts, Tries: 1})
		ports := make([]uint16, 4000)
		for i := range ports {
			ports[i] = uint16(i + 1)
		}
		began := time.Now()
		_, stats := collect(t, s, tcpPlan(3, ports...))
		took := time.Since(began)
		s.Close()
		for i := range uint32(3) {
			a := targets(3).At(uint64(i))
			var list []sentPacket
			for _, p := range w.sent {
				if p.Dst == a {
					list = append(list, p)
				}
			}
			for _, span := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second} {
				if most, limit := busiest(list, span), int(span.Seconds()*40)+hostBurst+1; most > limit {
					t.Errorf("%s: %d packets within %s, limit %d", a, most, span, limit)
				}
			}
		}
		if stats.Silent != 12_000 || took < 99*time.Second || took > 103*time.Second {
			t.Errorf("took %s for 4,000 packets each at 40/s: %+v", took, stats)
		}
		if looks > 4*12_000 {
			t.Errorf("%d looks at budgets for 12,000 packets", looks)
		}
	})
}

type countedHosts struct {
	*Hosts
	n *int
}

func (c *countedHosts) Take(a [16]byte) time.Duration { *c.n++; return c.Hosts.Take(a) }

// Resets are counted against their host, and a host that asks for them without
// end gets no more.
func TestResetsCostTheirHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = func(p *frame.Packet, _ int) (list []fakeAnswer) {
			for range 1000 {
				list = append(list, fakeAnswer{flags: frame.FlagSYN | frame.FlagACK})
			}
			return list
		}
		s := w.sweeper(t, Config{Hosts: NewHosts(10), Tries: 1})
		p := tcpPlan(1, 80)
		collect(t, s, p)
		time.Sleep(time.Second)
		if n := w.resets[netip.AddrPortFrom(p.Addrs.At(0), 80)]; n < hostDebt || n > hostDebt+hostBurst+20 {
			t.Errorf("%d resets for 1,000 SYN-ACKs", n)
		}
		s.Close()
	})
}

// The hosts' memory stays bounded, and forgetting gives nothing away.
func TestHostsForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHosts(10)
		var a [16]byte
		granted := 0
		for i := range 1_000_000 {
			binary.BigEndian.PutUint32(a[12:], uint32(i))
			if h.Take(a) == 0 {
				granted++
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // 100,000 a second, each busy for 0.1 s
			}
		}
		if granted != 1_000_000 || len(h.slots) > 1<<16 {
			t.Errorf("%d granted, %d slots", granted, len(h.slots))
		}
		busy := [16]byte{1}
		granted = 0
		began := time.Now()
		for i := range 200_000 { // among others, which make the table forget
			binary.BigEndian.PutUint32(a[12:], uint32(i))
			h.Take(a)
			if h.Take(busy) == 0 {
				granted++
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		if limit := int(time.Since(began).Seconds()*10) + hostBurst + 1; granted > limit || granted < limit-2 {
			t.Errorf("%d granted to a busy host, limit %d", granted, limit)
		}
	})
}

func TestRetriesHaveABudgetOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.sweeper(t, Config{Pace: NewRate(1000), RetriesPerSecond: 100, Tries: 2})
		collect(t, s, tcpPlan(4000, 80))
		s.Close()
		seen := map[netip.Addr]bool{}
		var again []sentPacket
		for _, p := range w.sent {
			if seen[p.Dst] {
				again = append(again, p)
			}
			seen[p.Dst] = true
		}
		if most := busiest(again, time.Second); len(again) != 4000 || most > 100+2+5 {
			t.Errorf("%d retries, %d in a second", len(again), most)
		}
	})
}

// Answers that nobody takes do not hold up those who receive, and what finds no
// room is asked again.
func TestSlowCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = honest
		s := w.sweeper(t, Config{Tries: 1})
		got := map[netip.AddrPort]bool{}
		p := tcpPlan(40_000, 80)
		stats, err := s.Sweep(t.Context(), p, func(r capture.Reply) {
			got[r.Addr] = true
			if len(got) == 1 {
				time.Sleep(500 * time.Millisecond)
			}
		})
		if err != nil || len(got) != 40_000 || stats.Degraded || stats.Dropped == 0 || stats.Repeated == 0 {
			t.Errorf("%d told, stats %+v, %v", len(got), stats, err)
		}
		s.Close()
	})
}
