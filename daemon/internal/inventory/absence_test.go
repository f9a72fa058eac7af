package inventory

import (
	"slices"
	"testing"
	"time"
)

// TestRetiredAndAbsent: an endpoint whose watch was removed and came back is
// news when a pass of the watch had found nothing there since.
func TestRetiredAndAbsent(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	mustApply(t, s, visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2"))
	if err := s.RetireWatch(t.Context(), "lan"); err != nil {
		t.Fatal(err)
	}
	c.add(time.Hour)
	after := mustApply(t, s, refusal(visitOf("192.0.2.1", 22, c.now(), "", ""), c.now()))
	if after[0].Status != Unknown {
		t.Errorf("stands as %q while retired and refused, want unknown", after[0].Status)
	}
	if err := s.PassDone(t.Context(), lanPass(c.now())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.add(time.Hour)
		mustApply(t, s, visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2"))
	}
	want := []string{"service.baseline", "watch.retired", "watch.baselined", "host.new", "service.new"}
	if got := actions(allEvents(t, s.Reader)); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// TestAbsenceAfterClockSetBack: a pass from before the clock was set back
// still proves what was absent.
func TestAbsenceAfterClockSetBack(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	if err := s.PassDone(t.Context(), lanPass(c.now())); err != nil {
		t.Fatal(err)
	}
	c.add(-24 * time.Hour)
	for range 2 {
		c.add(time.Minute)
		mustApply(t, s, visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2"))
	}
	want := []string{"watch.baselined", "host.new", "service.new"}
	if got := actions(allEvents(t, s.Reader)); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// TestVisitBeforePassIsNoNews: what was visited before a pass began is not
// proved absent by it, whatever the order in which both are stored.
func TestVisitBeforePassIsNoNews(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	seen := c.now()
	c.add(time.Minute)
	if err := s.PassDone(t.Context(), lanPass(c.now())); err != nil {
		t.Fatal(err)
	}
	c.add(time.Minute)
	mustApply(t, s, visitOf("192.0.2.1", 22, seen, "OpenSSH", "9.2"))
	want := []string{"watch.baselined", "service.baseline"}
	if got := actions(allEvents(t, s.Reader)); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}
