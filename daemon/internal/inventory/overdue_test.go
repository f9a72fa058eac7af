package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
)

func TestOverdue(t *testing.T) {
	s := openStore(t, t.TempDir(), newClock())
	for _, e := range []event.Event{
		{Action: event.WatchOverdue, Watch: "a", Reason: "verify_every"},
		{Action: event.WatchOverdue, Watch: "b", Reason: "verify_every"},
		{Action: event.WatchRecovered, Watch: "b", Reason: "verify_every"},
		{Action: event.WatchRecovered, Watch: "a", Reason: "discover_every"},
	} {
		if err := s.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Overdue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Overdue{{"a", "verify_every"}}, got); d != "" {
		t.Error(d)
	}
}
