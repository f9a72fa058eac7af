package budget

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func fourVisits() Limits {
	return Limits{PacketsPerSecond: 1000, HostPacketsPerSecond: 40, Connections: 20,
		HostConnections: 8, HostNewConnectionsPerSecond: 2} // 4 visits per host
}

// TestCarefulHostHasOneVisit: it takes effect as running visits end, and when
// it is taken back who waits is let in.
func TestCarefulHostHasOneVisit(t *testing.T) {
	l := limiter(t, fourVisits())
	turns := 0
	ask := func() (release func(), granted bool) { return l.Admit(addr(1), func() { turns++ }) }
	var running []func()
	for range 4 {
		release, ok := ask()
		if !ok {
			t.Fatal("four visits do not fit")
		}
		running = append(running, release)
	}
	l.Careful(addr(1), true)
	l.Careful(addr(1), true) // counts once
	var waiting []func()
	for range 6 {
		release, ok := ask()
		if ok {
			t.Fatal("another visit is let in")
		}
		waiting = append(waiting, release)
	}
	for i, release := range running {
		release()
		if want := max(0, i-2); turns != want {
			t.Fatalf("%d were let in after %d of 4 ended, want %d", turns, i+1, want)
		}
	}
	waiting[0]()
	if turns != 2 {
		t.Fatalf("%d were let in, want one after the other", turns)
	}
	if _, ok := l.Admit(addr(2), func() {}); !ok {
		t.Error("another host waits too")
	}
	l.Careful(addr(1), false)
	if turns != 5 {
		t.Errorf("%d were let in when the usual held again, want 4 at once", turns)
	}
	for _, release := range waiting[1:] {
		release()
	}
	if free := l.hosts[addr(1)].visits.free; turns != 6 || free != 4 {
		t.Errorf("%d of 6 had their turn, %d places free of 4", turns, free)
	}
}

// TestCarefulOutlivesForgetting: the host is not held in memory for it.
func TestCarefulOutlivesForgetting(t *testing.T) {
	l := limiter(t, fourVisits())
	l.Careful(addr(1), true)
	if len(l.hosts) != 0 {
		t.Errorf("%d hosts held", len(l.hosts))
	}
	if _, ok := l.Admit(addr(1), func() {}); !ok {
		t.Error("not even one visit")
	}
	if _, ok := l.Admit(addr(1), func() {}); ok {
		t.Error("two visits at once")
	}
}

// TestCarefulRates: of what is asked within a minute so much is granted.
func TestCarefulRates(t *testing.T) {
	for _, c := range []struct {
		name           string
		careful        bool
		packets, dials int
	}{
		{"usual", false, 40 * 60, 2 * 60},
		{"careful", true, CarefulPackets * 60, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limiter(t, fourVisits())
				l.Careful(addr(1), true)
				l.Careful(addr(1), c.careful)
				packets := 0
				for begun := time.Now(); time.Since(begun) < time.Minute; packets++ {
					if err := l.Packet(t.Context(), addr(1)); err != nil {
						t.Fatal(err)
					}
				}
				if packets < c.packets || packets > c.packets+hostBurst+1 {
					t.Errorf("%d packets in a minute, want %d", packets, c.packets)
				}
				dials := 0
				for begun := time.Now(); time.Since(begun) < time.Minute; dials++ {
					ready := make(chan struct{})
					if _, ok := l.Pace(netip.AddrPortFrom(addr(1), 22), func() { close(ready) }); !ok {
						<-ready
					}
				}
				if dials < c.dials || dials > c.dials+2 {
					t.Errorf("%d connections in a minute, want %d", dials, c.dials)
				}
			})
		})
	}
}
