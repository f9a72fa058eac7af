package inventory

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// TestDistressIsReadBack: what a restart must still hold to.
func TestDistressIsReadBack(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openStore(t, dir, c)
	old := c.now()
	host := netip.MustParseAddr("192.0.2.7")
	tell := func(a event.Action) time.Time {
		at := c.add(time.Hour)
		err := s.Record(t.Context(), event.Event{Action: a, Watch: "lan", Zone: "default",
			Message: "test", Endpoint: &probes.Observation{Addr: host, Port: 80, Transport: probes.TCP}})
		if err != nil {
			t.Fatal(err)
		}
		return at.UTC()
	}
	first := tell(event.HostDistress)
	tell(event.SensorHeartbeat)
	second := tell(event.HostRecovered)
	read := func(since time.Time) []Distress {
		got, err := s.Reader.Distress(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	over := Distress{Watch: "lan", Zone: "default", Addr: host, At: second, Over: true}
	want := []Distress{{Watch: "lan", Zone: "default", Addr: host, At: first}, over}
	if d := cmp.Diff(want, read(old), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want[1:], read(second), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

// TestPartialPassIsNoBaseline: a sweep that leaves a host alone covers the
// others, and is not told as the first look at a new scope.
func TestPartialPassIsNoBaseline(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	pass := lanPass(c.now())
	pass.Exclude = append(pass.Exclude, netip.MustParsePrefix("192.0.2.7/32"))
	pass.Partial = true
	if err := s.PassDone(t.Context(), pass); err != nil {
		t.Fatal(err)
	}
	v := visitOf("192.0.2.7", 22, c.add(time.Hour), "OpenSSH", "9.2")
	mustApply(t, s, v)
	wantActions(t, s.Reader, "service.baseline") // not new: nobody looked there
}
