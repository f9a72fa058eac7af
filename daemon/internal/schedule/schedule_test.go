package schedule

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }

func id(port int) ID {
	return ID{Key: event.Key{Zone: "default", Addr: netip.MustParseAddr("127.0.0.1"),
		Transport: "tcp", Port: uint16(port)}}
}

func TestDueOrder(t *testing.T) {
	q := NewQueue()
	q.Put(Entry{ID: id(3), Kind: Verify, Due: at(30)})
	q.Put(Entry{ID: id(1), Kind: Verify, Due: at(10)})
	q.Put(Entry{ID: id(2), Kind: Confirm, Due: at(10)})
	if _, ok := q.Next(at(9)); ok {
		t.Fatal("something was due before its time")
	}
	var got []uint16
	for {
		e, ok := q.Next(at(30))
		if !ok {
			break
		}
		got = append(got, e.ID.Key.Port)
	}
	if fmt.Sprint(got) != "[2 1 3]" {
		t.Errorf("order %v, want confirmation first, then by time", got)
	}
}

func TestPutKeepsTheEarlierTime(t *testing.T) {
	q := NewQueue()
	q.Put(Entry{ID: id(1), Kind: Confirm, Due: at(10)})
	q.Put(Entry{ID: id(1), Kind: Verify, Due: at(99)})
	if due, _ := q.NextDue(); !due.Equal(at(10)) || q.Len() != 1 {
		t.Errorf("due %v with %d entries, want the earlier time and one entry", due, q.Len())
	}
	q.Put(Entry{ID: id(1), Kind: Sighted, Due: at(5)})
	if e, ok := q.Next(at(5)); !ok || e.Kind != Sighted {
		t.Errorf("got %+v %v, want the earlier entry", e, ok)
	}
}

func TestInFlightRemembersWhatWasAsked(t *testing.T) {
	q := NewQueue()
	q.Put(Entry{ID: id(1), Due: at(0)})
	if _, ok := q.Next(at(0)); !ok {
		t.Fatal("nothing due")
	}
	q.Put(Entry{ID: id(1), Due: at(7)})
	q.Put(Entry{ID: id(1), Due: at(3)})
	if _, ok := q.Next(at(100)); ok {
		t.Fatal("the same endpoint was taken twice")
	}
	q.Done(id(1))
	if due, ok := q.NextDue(); !ok || !due.Equal(at(3)) {
		t.Errorf("due %v %v after Done, want the earliest request", due, ok)
	}
	if q.InFlight() != 0 {
		t.Errorf("%d in flight after Done", q.InFlight())
	}
}

// TestRandomAgainstNaive compares the queue with a map that is searched.
func TestRandomAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	q := NewQueue()
	naive := map[ID]time.Time{}
	now := 0
	for step := range 20_000 {
		switch rng.IntN(4) {
		case 0, 1:
			e := Entry{ID: id(rng.IntN(50)), Due: at(now + rng.IntN(100))}
			q.Put(e)
			if old, ok := naive[e.ID]; !ok || e.Due.Before(old) {
				naive[e.ID] = e.Due
			}
		case 2:
			i := id(rng.IntN(50))
			q.Remove(i)
			delete(naive, i)
		case 3:
			now += rng.IntN(20)
			e, ok := q.Next(at(now))
			for i, due := range naive {
				if !ok && !due.After(at(now)) {
					t.Fatalf("step %d: %v is due and was not given", step, i)
				}
				if ok && due.Before(e.Due) {
					t.Fatalf("step %d: %v is due before the one given", step, i)
				}
			}
			if ok {
				if !naive[e.ID].Equal(e.Due) {
					t.Fatalf("step %d: given with due %v, want %v", step, e.Due, naive[e.ID])
				}
				delete(naive, e.ID)
				q.Done(e.ID)
			}
		}
		if q.Len() != len(naive) {
			t.Fatalf("step %d: %d entries, want %d", step, q.Len(), len(naive))
		}
	}
}

func TestRoutineKeepsThePromiseAndSpreads(t *testing.T) {
	seed := maphash.MakeSeed()
	buckets := map[int]int{}
	const n = 5000
	for p := range n {
		due := Routine(seed, id(p).Key, t0, time.Hour).Sub(t0)
		if due < 48*time.Minute || due > 57*time.Minute {
			t.Fatalf("port %d due after %v, want 80 to 95 %% of an hour", p, due)
		}
		buckets[int(due/time.Minute)]++
	}
	for m, c := range buckets {
		if c > n/4 {
			t.Errorf("minute %d has %d of %d visits", m, c, n)
		}
	}
}

func TestOverdueCountsPerWatch(t *testing.T) {
	q := NewQueue()
	q.Put(Entry{ID: id(1), Watch: "a", Due: at(1)})
	q.Put(Entry{ID: id(2), Watch: "a", Due: at(50)})
	q.Put(Entry{ID: id(3), Watch: "b", Due: at(2)})
	got := q.Overdue(at(10))
	if got["a"] != 1 || got["b"] != 1 {
		t.Errorf("overdue %v, want one of each", got)
	}
}
