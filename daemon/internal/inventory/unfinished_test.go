package inventory

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// How far a pass is outlives the program, is taken once, and ends with the
// pass: a degraded one leaves it.
func TestUnfinished(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openStore(t, dir, c)
	began := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	lan := Unfinished{Seed: 1<<64 - 1, Order: 7, Next: 1 << 40, Saved: began.Add(time.Minute),
		Left: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")},
		Pass: Pass{Watch: "lan", Zone: "z", Method: "syn", Ports: "22,80", Started: began,
			Targets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/64")}}}
	udp, other := lan, lan
	udp.Pass.Method, other.Pass.Watch = "raw-udp:1", "other"
	earlier := lan
	earlier.Next = 5
	for _, u := range []Unfinished{earlier, udp, other, lan} {
		if err := s.SaveUnfinished(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	done := udp.Pass
	done.Done = began.Add(time.Hour)
	degraded := other.Pass
	degraded.Degraded = true
	for _, p := range []Pass{done, degraded} {
		if err := s.PassDone(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeMeta(t.Context(), s.conn, metaUnfinished+"x", "{"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, c)
	got, err := s.TakeUnfinished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byWatch := map[string]Unfinished{}
	for _, u := range got {
		byWatch[u.Pass.Watch] = u
	}
	comparePrefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if d := cmp.Diff(map[string]Unfinished{"lan": lan, "other": other}, byWatch, comparePrefix); d != "" || len(got) != 2 {
		t.Errorf("%d taken (-want +got):\n%s", len(got), d)
	}
	if again, err := s.TakeUnfinished(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("taken again: %+v, %v", again, err)
	}
}
