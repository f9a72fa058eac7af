package schedule

import (
	"net/netip"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// TestCrossedOnceInEach: whatever the steps, each cycle has one crossing, and the
// endpoints have theirs at times of their own.
func TestCrossedOnceInEach(t *testing.T) {
	const every, step = 30 * 24 * time.Hour, 37 * time.Minute
	r := NewRhythm(7)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	days := map[int]int{}
	for port := uint16(1); port <= 1000; port++ {
		k := event.Key{Zone: "z", Addr: netip.MustParseAddr("192.0.2.1"), Transport: probes.TCP, Port: port}
		var at []time.Time
		for now := begin; now.Before(begin.Add(3 * every)); now = now.Add(step) {
			if r.Crossed(k, now, now.Add(step), every) {
				at = append(at, now)
			}
		}
		if len(at) != 3 {
			t.Fatalf("port %d: %d crossings in three cycles: %v", port, len(at), at)
		}
		days[int(at[0].Sub(begin)/(24*time.Hour))]++
	}
	for day := range 30 {
		if days[day] < 10 || days[day] > 70 {
			t.Errorf("%d of 1000 on day %d", days[day], day)
		}
	}
	k := event.Key{Zone: "z", Addr: netip.MustParseAddr("192.0.2.1"), Transport: probes.TCP, Port: 1}
	if r.Crossed(k, begin, begin.Add(10*every), 0) || r.Crossed(k, begin.Add(10*every), begin, every) {
		t.Error("crossed without a cycle, or back in time")
	}
	if early := time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC); !r.Crossed(k, early, begin, every) {
		t.Error("not crossed in 57 years")
	}
}
