package schedule

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQueuedByWatch(t *testing.T) {
	q, now := NewQueue(nil), time.Unix(1000, 0)
	put := func(watch, sweep string, port uint16, in time.Duration) {
		e := Entry{ID: ID{Sweep: sweep}, Watch: watch, Kind: Sweep, Due: now.Add(in)}
		if sweep == "" {
			e.ID.Key.Port, e.Kind = port, Verify
		}
		q.Put(e, now)
	}
	put("a", "", 1, -time.Minute)
	put("a", "", 2, time.Minute)
	put("a", "", 3, 2*time.Minute)
	put("a", "a/tcp", 0, time.Hour)
	put("b", "b/tcp", 0, -time.Second)
	put("b", "", 4, 0)
	if e, ok := q.Next(now, false); !ok || e.ID.Sweep != "b/tcp" {
		t.Fatalf("%+v", e)
	}
	want := map[string]Queued{
		"a": {Due: 1, Later: 3, Visit: now.Add(-time.Minute), Sweep: now.Add(time.Hour)},
		"b": {Due: 1, Visit: now},
	}
	if d := cmp.Diff(want, q.Queued(now)); d != "" {
		t.Errorf("what is under way does not wait:\n%s", d)
	}
}
