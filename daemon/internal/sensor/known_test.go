package sensor

import (
	"testing"
	"time"

	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// TestExtrasAreDueOnceADay: at the first visit after the start, and a day after
// a visit that asked for them. One that could not does not count.
func TestExtrasAreDueOnceADay(t *testing.T) {
	w := newWorld(t, 25)
	cfg := configOf(w, newStore(w))
	now := time.Unix(1e9, 0)
	cfg.Now = func() time.Time { return now }
	s := New(cfg)
	asked := &probes.Cost{Connections: 1}
	for i, step := range []struct {
		after time.Duration
		due   bool
		extra *probes.Cost
	}{
		{0, true, nil},
		{time.Hour, true, asked},
		{time.Hour, false, nil},
		{refreshEvery - time.Hour - time.Second, false, nil},
		{time.Second, true, asked},
		{time.Second, false, nil},
	} {
		now = now.Add(step.after)
		k := s.known[keyOf(25)]
		if r := k.recall(now); r.Extras != step.due {
			t.Errorf("visit %d: due %v, want %v", i, r.Extras, step.due)
		}
		s.learn(&inventory.Visit{Key: keyOf(25), Watch: "lan", Observation: probes.Observation{
			Strength: probes.Hard, Probe: "NULL", Cost: probes.Cost{Connections: 1, Extra: step.extra}}},
			inventory.Standing{Status: inventory.Present})
	}
}
