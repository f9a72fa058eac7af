package schedule

import (
	"math/rand/v2"
	"net/netip"
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

// TestQueuedAsANaiveQueueDoes plays random entries, and counts what waits by
// looking for each.
func TestQueuedAsANaiveQueueDoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	q := NewQueue(func(netip.Addr) int { return 2 })
	now, air := t0, []ID{}
	all := map[ID]bool{}
	for range 5000 {
		now = now.Add(time.Duration(rng.IntN(int(time.Second))))
		of := idAt(rng.IntN(4), 1+rng.IntN(30))
		if rng.IntN(10) == 0 {
			of = ID{Sweep: []string{"a/tcp", "b/tcp"}[rng.IntN(2)]}
		}
		switch rng.IntN(6) {
		case 0, 1:
			e := Entry{ID: of, Watch: []string{"a", "b"}[rng.IntN(2)], Kind: Kind(rng.IntN(4)),
				Due: now.Add(time.Duration(rng.IntN(20)-5) * time.Second)}
			if of.Sweep != "" {
				e.Kind, e.Watch = Sweep, of.Sweep[:1]
			} else if rng.IntN(2) == 0 {
				e.Late = e.Due.Add(time.Second)
			}
			q.Put(e, now)
			all[of] = true
		case 2:
			if e, ok := q.Next(now, true); ok {
				air = append(air, e.ID)
			}
		case 3:
			if len(air) > 0 {
				q.Done(air[0], now)
				air = air[1:]
			}
		case 4:
			q.Remove(of)
		default:
			if rng.IntN(50) == 0 {
				q.Spread("a", 30, time.Minute, now)
			}
		}
		want := map[string]Queued{}
		for of := range all {
			e, ok := q.Find(of)
			if !ok {
				continue
			}
			n := want[e.Watch]
			if e.Due.After(now) {
				n.Later++
			} else {
				n.Due++
			}
			if of.Sweep != "" && (n.Sweep.IsZero() || e.Due.Before(n.Sweep)) {
				n.Sweep = e.Due
			}
			want[e.Watch] = n
		}
		got := q.Queued(now)
		for w, n := range got {
			if n.Visit.IsZero() && n.Later > 1 { // one may be a sweep
				t.Fatalf("%+v: none of several visits comes first", n)
			}
			n.Visit = time.Time{}
			got[w] = n
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}
}
