package inventory

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
)

func TestOutages(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	began := c.now()
	for _, e := range []event.Event{
		{Action: event.SensorDegraded, Reason: "sink a", Counts: map[string]int{"down_s": 60}},
		{Action: event.SensorDegraded, Reason: "sink a", Counts: map[string]int{"dropped": 7, "seq_first": 1, "seq_last": 7}},
		{Action: event.SensorDegraded, Reason: "sink b", Counts: map[string]int{"down_s": 60}},
		{Action: event.SensorDegraded, Reason: "sink c", Counts: map[string]int{"dropped": 3}},
		{Action: event.SensorDegraded, Reason: "disk"},
		{Action: event.SensorRecovered, Reason: "sink b", Counts: map[string]int{"dropped": 0}},
		{Action: event.SensorDegraded, Reason: "sink a", Counts: map[string]int{"dropped": 5}},
	} {
		if err := s.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]Outage{"a": {Since: began.Add(-time.Minute).UTC(), Lost: 12}, "c": {Lost: 3}}
	got, err := s.Outages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
