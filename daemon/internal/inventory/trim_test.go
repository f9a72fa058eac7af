package inventory

import (
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

func mustBeAlive(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsGoneAgesOut: it is known for as long as is asked for, with all that
// hangs on it, and what is there stays however long nobody looked.
func TestWhatIsGoneAgesOut(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	at := c.now()
	gone, there := visitOf("192.0.2.1", 22, at, "OpenSSH", "9.2"), visitOf("192.0.2.2", 22, at, "OpenSSH", "9.2")
	removed := visitOf("192.0.2.3", 22, at, "OpenSSH", "9.2")
	removed.Watch = "removed"
	mustApply(t, s, gone, there, removed)
	for range 3 {
		mustApply(t, s, refusal(gone, c.add(10*time.Minute)))
	}
	if err := s.RetireWatch(t.Context(), "removed"); err != nil {
		t.Fatal(err)
	}
	known := func(want int) {
		t.Helper()
		mustBeAlive(t, s)
		if got := endpoints(t, s.Reader, Filter{Retired: true}); len(got) != want {
			t.Errorf("%d endpoints are known, want %d", len(got), want)
		}
	}
	known(3)
	c.add(DefaultRetention().GoneFor - 2*time.Hour)
	known(3)
	c.add(3 * time.Hour)
	known(1)
	for _, table := range []string{"identities", "evidence", "history"} {
		var n int
		if err := s.conn.QueryRowContext(t.Context(), "select count(*) from "+table).Scan(&n); err != nil || n > 1 {
			t.Errorf("%d rows of %s are left, %v", n, table, err)
		}
	}
}

// TestAgeingNeedsNoSearch: the endpoints that age out are found by their index.
func TestAgeingNeedsNoSearch(t *testing.T) {
	s := openStore(t, t.TempDir(), newClock())
	var id, parent, unused int
	var plan string
	err := s.conn.QueryRowContext(t.Context(), `explain query plan select id from endpoints
		where (status = 'gone' or retired = 1) and last_seen < 5 order by last_seen limit 5`).
		Scan(&id, &parent, &unused, &plan)
	if err != nil || !strings.Contains(plan, "endpoints_old") {
		t.Errorf("plan %q, %v", plan, err)
	}
}

// TestSizeIsKept: events and history leave when the file is too large, endpoints
// do not, and what cannot be kept is told.
func TestSizeIsKept(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	keep := DefaultRetention()
	long := event.Event{Action: event.SensorHeartbeat, Message: strings.Repeat("x", maxMessage)}
	for i := range 300 {
		if err := s.Record(t.Context(), long); err != nil {
			t.Fatal(err)
		}
		if i < 100 {
			mustApply(t, s, visitOf("192.0.2.1", uint16(i+1), c.now(), "OpenSSH", "9.2"))
		}
	}
	mustBeAlive(t, s)
	full, err := s.used(t.Context())
	if err != nil || s.Overfull() {
		t.Fatalf("%d bytes, overfull: %v, %v", full, s.Overfull(), err)
	}
	keep.MaxSize = full * 3 / 4
	s.SetRetention(keep)
	mustBeAlive(t, s)
	if now, err := s.used(t.Context()); err != nil || now > keep.MaxSize || s.Overfull() {
		t.Errorf("%d bytes of %d, overfull: %v, %v", now, keep.MaxSize, s.Overfull(), err)
	}
	if n := len(endpoints(t, s.Reader, Filter{})); n != 100 {
		t.Errorf("%d endpoints are left", n)
	}
	keep.MaxSize = 4096
	s.SetRetention(keep)
	mustBeAlive(t, s)
	if !s.Overfull() || len(endpoints(t, s.Reader, Filter{})) != 100 {
		t.Errorf("overfull: %v, %d endpoints", s.Overfull(), len(endpoints(t, s.Reader, Filter{})))
	}
}
