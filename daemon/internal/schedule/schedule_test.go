package schedule

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }

func id(port int) ID { return idAt(1, port) }

// idAt is an endpoint of host number n.
func idAt(n, port int) ID {
	return ID{Key: event.Key{Zone: "default", Addr: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}),
		Transport: "tcp", Port: uint16(port)}}
}

func drain(q *Queue, now time.Time) (ports []uint16) {
	for {
		e, ok := q.Next(now, true)
		if !ok {
			return ports
		}
		ports = append(ports, e.ID.Key.Port)
	}
}

func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"news before routine", []Entry{{ID: id(1), Kind: Verify, Due: at(1), Late: at(200)},
			{ID: id(2), Kind: Sighted, Due: at(50)}, {ID: id(3), Kind: Confirm, Due: at(60)}}, "[3 2 1]"},
		{"manual before all", []Entry{{ID: id(1), Kind: Verify, Due: at(1)}, {ID: id(2), Kind: Confirm, Due: at(1)},
			{ID: id(3), Kind: Manual, Due: at(99)}}, "[3 2 1]"},
		{"the most pressing first", []Entry{{ID: id(1), Kind: Verify, Due: at(1), Late: at(300)},
			{ID: id(2), Kind: Verify, Due: at(2), Late: at(200)}}, "[2 1]"},
		{"pressing routine and news take turns", []Entry{{ID: id(1), Kind: Verify, Due: at(1), Late: at(90)},
			{ID: id(2), Kind: Verify, Due: at(2), Late: at(91)}, {ID: id(3), Kind: Sighted, Due: at(3)},
			{ID: id(4), Kind: Sighted, Due: at(4)}}, "[3 1 4 2]"},
		{"not before its time", []Entry{{ID: id(1), Kind: Manual, Due: at(101)}}, "[]"},
	} {
		q := NewQueue(nil)
		for _, e := range tt.entries {
			e.Watch = "lan"
			q.Put(e, t0)
		}
		if got := fmt.Sprint(drain(q, at(100))); got != tt.want {
			t.Errorf("%s: order %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestPutMerges(t *testing.T) {
	for _, tt := range []struct {
		name string
		put  []Entry
		kind Kind
		due  int
	}{
		{"the earlier stays", []Entry{{Kind: Confirm, Due: at(10)}, {Kind: Verify, Due: at(99)}}, Confirm, 10},
		{"the earlier comes", []Entry{{Kind: Confirm, Due: at(10)}, {Kind: Sighted, Due: at(5)}}, Sighted, 5},
		{"somebody waits", []Entry{{Kind: Verify, Due: at(1)}, {Kind: Manual, Due: at(7)}}, Manual, 7},
		{"news do not put off what is due", []Entry{{Kind: Verify, Due: at(1)}, {Kind: Sighted, Due: at(7)}}, Verify, 1},
		{"manual, but later than now", []Entry{{Kind: Verify, Due: at(1)}, {Kind: Manual, Due: at(20)}}, Verify, 1},
		{"urgent, but later than now", []Entry{{Kind: Verify, Due: at(1)}, {Kind: Confirm, Due: at(20)}}, Verify, 1},
		{"the same time, the more urgent", []Entry{{Kind: Verify, Due: at(20)}, {Kind: Confirm, Due: at(20)}}, Confirm, 20},
	} {
		q := NewQueue(nil)
		for _, e := range tt.put {
			e.ID, e.Watch = id(1), "lan"
			q.Put(e, at(7))
		}
		e, ok := q.Next(at(100), true)
		if !ok || e.Kind != tt.kind || !e.Due.Equal(at(tt.due)) || q.Len() != 0 {
			t.Errorf("%s: got %+v %v, %d left", tt.name, e, ok, q.Len())
		}
	}
}

func TestInFlightRemembersWhatWasAsked(t *testing.T) {
	q := NewQueue(nil)
	q.Put(Entry{ID: id(1), Due: at(0)}, t0)
	if _, ok := q.Next(at(0), true); !ok {
		t.Fatal("nothing due")
	}
	q.Put(Entry{ID: id(1), Due: at(7)}, t0)
	q.Put(Entry{ID: id(1), Due: at(3)}, t0)
	if _, ok := q.Next(at(100), true); ok {
		t.Fatal("the same endpoint was taken twice")
	}
	q.Done(id(1), at(1))
	q.Done(id(1), at(1)) // once more does nothing
	if due, ok := q.NextDue(); !ok || !due.Equal(at(3)) {
		t.Errorf("due %v %v after Done, want the earliest request", due, ok)
	}
	if q.Visits() != 0 {
		t.Errorf("%d in flight after Done", q.Visits())
	}
}

func TestSweepsNeedNoRoom(t *testing.T) {
	q := NewQueue(nil)
	q.Put(Entry{ID: id(1), Watch: "a", Kind: Manual, Due: at(0)}, t0)
	q.Put(Entry{ID: ID{Sweep: "a/tcp"}, Watch: "a", Kind: Sweep, Due: at(2)}, t0)
	q.Put(Entry{ID: ID{Sweep: "b/tcp"}, Watch: "b", Kind: Sweep, Due: at(1)}, t0)
	var got []string
	for {
		e, ok := q.Next(at(5), false)
		if !ok {
			break
		}
		got = append(got, e.ID.Sweep)
	}
	if fmt.Sprint(got) != "[b/tcp a/tcp]" || q.Len() != 1 || q.Visits() != 0 {
		t.Errorf("got %v, %d wait, %d visits", got, q.Len(), q.Visits())
	}
}

func TestHold(t *testing.T) {
	q := NewQueue(nil)
	q.Put(Entry{ID: id(1), Watch: "a", Kind: Manual, Due: at(0)}, t0)
	q.Put(Entry{ID: ID{Sweep: "a/tcp"}, Watch: "a", Kind: Sweep, Due: at(0)}, t0)
	q.Put(Entry{ID: id(2), Watch: "b", Kind: Verify, Due: at(0)}, t0)
	q.Hold("a", true)
	if got := drain(q, at(1)); fmt.Sprint(got) != "[2]" {
		t.Errorf("took %v, want only that of the other watch", got)
	}
	if _, ok := q.NextDue(); ok {
		t.Error("something that is held back wakes the loop")
	}
	q.Hold("a", false)
	if got := drain(q, at(1)); len(got) != 2 {
		t.Errorf("took %v, want what was held back", got)
	}
}

func TestHostsHoldUpOnlyThemselves(t *testing.T) {
	q := NewQueue(func(a netip.Addr) int { return 2 })
	for p := range 100 {
		q.Put(Entry{ID: idAt(1, p), Watch: "a", Kind: Sighted, Due: at(0)}, t0)
	}
	q.Put(Entry{ID: idAt(2, 1000), Watch: "a", Kind: Verify, Due: at(1), Late: at(900)}, t0)
	got := drain(q, at(1))
	if len(got) != 3 || got[2] != 1000 {
		t.Fatalf("took %v, want two of the first host and that of the other", got)
	}
	q.Put(Entry{ID: idAt(1, 50), Watch: "a", Kind: Manual, Due: at(1)}, at(1))
	if more := drain(q, at(1)); len(more) != 0 {
		t.Errorf("took %v while the host has all it may", more)
	}
	q.Done(idAt(1, int(got[0])), at(2))
	if more := drain(q, at(2)); fmt.Sprint(more) != "[50]" {
		t.Errorf("took %v, want what somebody waits for", more)
	}
	q.Done(idAt(1, 50), at(3))
	for left := 97; left > 0; left-- { // all come to their turn
		more := drain(q, at(3))
		if len(more) == 0 {
			t.Fatalf("%d are left, and none of them comes", left)
		}
		for _, p := range more {
			q.Done(idAt(1, int(p)), at(3))
		}
	}
	if q.Len() != 0 {
		t.Errorf("%d were forgotten", q.Len())
	}
}

// TestRandomAgainstNaive compares the queue with a map that is searched.
func TestRandomAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	q := NewQueue(func(netip.Addr) int { return 2 })
	naive, flying := map[ID]Entry{}, map[ID]bool{}
	now := 0
	for step := range 50_000 {
		i := idAt(rng.IntN(5), rng.IntN(10))
		switch rng.IntN(5) {
		case 0, 1:
			if flying[i] {
				break
			}
			e := Entry{ID: i, Watch: watchOf(i), Kind: Kind(rng.IntN(int(Sweep))), Due: at(now - 5 + rng.IntN(100))}
			e.Late = e.Due
			q.Put(e, at(now))
			if old, ok := naive[e.ID]; ok {
				e = merge(old, e, at(now))
			}
			naive[e.ID] = e
		case 2:
			q.Remove(i)
			delete(naive, i)
		case 3:
			q.Done(i, at(now))
			delete(flying, i)
		case 4:
			now += rng.IntN(20)
			e, ok := q.Next(at(now), true)
			checkTaken(t, step, e, ok, naive, flying, at(now))
			if ok {
				delete(naive, e.ID)
				flying[e.ID] = true
			}
		}
		if q.Len() != len(naive) || q.Visits() != len(flying) {
			t.Fatalf("step %d: %d wait and %d fly, want %d and %d", step, q.Len(), q.Visits(), len(naive), len(flying))
		}
	}
}

func watchOf(i ID) string { return fmt.Sprint(i.Key.Port % 3) }

// checkTaken: an entry is given when one is due whose host has room; it is one
// of these, and none of its watch is more urgent but for the turns.
func checkTaken(t *testing.T, step int, e Entry, ok bool, naive map[ID]Entry, flying map[ID]bool, now time.Time) {
	t.Helper()
	atHost := map[hostOf]int{}
	for i := range flying {
		atHost[hostOf{watchOf(i), i.Key.Host()}]++
	}
	if ok && (naive[e.ID] != e || e.Due.After(now) || atHost[e.host()] >= 2) {
		t.Fatalf("step %d: gave %+v, known as %+v", step, e, naive[e.ID])
	}
	for _, other := range naive {
		free := !other.Due.After(now) && atHost[other.host()] < 2
		if free && !ok {
			t.Fatalf("step %d: %+v is due and was not given", step, other)
		}
		if free && other.Kind == Manual && e.Kind != Manual {
			t.Fatalf("step %d: gave %+v while somebody waits for %+v", step, e, other)
		}
	}
}

func TestSpread(t *testing.T) {
	q := NewQueue(func(netip.Addr) int { return 1 })
	const known = 900
	for p := range known {
		kind := Verify
		if p < 10 {
			kind = Confirm
		}
		q.Put(Entry{ID: idAt(p/3, p%3), Watch: "a", Kind: kind, Due: at(-p), Late: at(p)}, t0)
	}
	q.Put(Entry{ID: id(5000), Watch: "a", Kind: Manual, Due: at(0)}, t0)
	q.Put(Entry{ID: id(5001), Watch: "b", Kind: Verify, Due: at(0)}, t0)
	first, _ := q.Next(at(0), true) // somebody waits: that flies, and parks those of its host
	q.Spread("a", known, 900*time.Second, at(1))
	if e, ok := q.Next(at(1), true); !ok || e.Watch != "b" && e.Kind != Confirm {
		t.Errorf("first is %+v %v", e, ok)
	}
	perMinute := map[time.Duration]int{}
	for now := 1; now <= 400; now++ {
		for {
			e, ok := q.Next(at(now), true)
			if !ok {
				break
			}
			perMinute[at(now).Sub(t0).Truncate(time.Minute)]++
			if e.Kind == Confirm && now > 12 {
				t.Errorf("a confirmation comes after %d s", now)
			}
			q.Done(e.ID, at(now))
		}
	}
	for m, n := range perMinute {
		if n > catchUp*known/15+2 {
			t.Errorf("%d visits in the minute after %v, usual are %d", n, m, known/15)
		}
	}
	q.Done(first.ID, at(400))
	for e, ok := q.Next(at(400), true); ok; e, ok = q.Next(at(400), true) {
		q.Done(e.ID, at(400))
	}
	if q.Len() != 0 {
		t.Errorf("%d are left after a third of the time", q.Len())
	}
}
