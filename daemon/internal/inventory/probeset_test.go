package inventory

import (
	"testing"
	"time"
)

// TestProbeSet: the first one counts as always, another one from when it came.
func TestProbeSet(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Rules: DefaultRules()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		hash string
		want time.Time
	}{{"a", time.Time{}}, {"a", time.Time{}}, {"b", day.AddDate(0, 0, 2)}, {"b", day.AddDate(0, 0, 2)}, {"a", day.AddDate(0, 0, 4)}} {
		got, err := s.ProbeSet(t.Context(), step.hash, day.AddDate(0, 0, i))
		if err != nil || !got.Equal(step.want) {
			t.Errorf("step %d: since %v, %v; want %v", i, got, err, step.want)
		}
	}
}
