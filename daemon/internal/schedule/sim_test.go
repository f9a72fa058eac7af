package schedule

import (
	stdheap "container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// A sim runs a queue for simulated months: visits take slots for some time,
// and what they visit is due again by the rhythm.
type sim struct {
	rng     *rand.Rand
	q       *Queue
	rhythm  Rhythm
	now     time.Time
	slots   int
	takes   func(Entry) time.Duration
	every   map[string]time.Duration
	known   map[ID]time.Time // when it was visited last
	landing landings
	landed  func(e Entry, at time.Time)
	begun   func(e Entry, at time.Time)
}

type landing struct {
	at time.Time
	e  Entry
}

func newSim(slots int) *sim {
	return &sim{rng: rand.New(rand.NewPCG(5, 6)), rhythm: NewRhythm(1), now: t0, slots: slots,
		q:     NewQueue(func(netip.Addr) int { return 1 }),
		every: map[string]time.Duration{}, known: map[ID]time.Time{},
		takes:  func(Entry) time.Duration { return time.Second },
		landed: func(Entry, time.Time) {}, begun: func(Entry, time.Time) {}}
}

// add makes endpoints known, visited at last.
func (s *sim) add(watch string, hosts, ports int, every time.Duration, last func() time.Time) {
	s.every[watch] = every
	base := 1000 * len(s.every)
	for h := range hosts {
		for p := range ports {
			s.plan(Entry{ID: idAt(base+h, p), Watch: watch}, last())
		}
	}
}

func (s *sim) plan(e Entry, last time.Time) {
	s.known[e.ID] = last
	due, late := s.rhythm.Turn(e.ID.Key, last, s.every[e.Watch])
	s.q.Put(Entry{ID: e.ID, Watch: e.Watch, Kind: Verify, Due: due, Late: late}, s.now)
}

// run goes on until a time.
func (s *sim) run(until time.Time) {
	for s.now.Before(until) {
		for {
			e, ok := s.q.Next(s.now, s.q.Visits() < s.slots)
			if !ok {
				break
			}
			s.begun(e, s.now)
			stdheap.Push(&s.landing, landing{s.now.Add(s.takes(e)), e})
		}
		next := until
		if len(s.landing) > 0 && s.landing[0].at.Before(next) {
			next = s.landing[0].at
		}
		if due, ok := s.q.NextDue(); ok && due.Before(next) && due.After(s.now) {
			next = due
		}
		s.now = next
		for len(s.landing) > 0 && !s.landing[0].at.After(s.now) {
			l := stdheap.Pop(&s.landing).(landing)
			s.landed(l.e, s.now)
			s.q.Done(l.e.ID, s.now)
			s.plan(l.e, s.now)
		}
	}
}

type landings []landing

func (l landings) Len() int           { return len(l) }
func (l landings) Less(i, j int) bool { return l[i].at.Before(l[j].at) }
func (l landings) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *landings) Push(x any)        { *l = append(*l, x.(landing)) }
func (l *landings) Pop() any {
	old := *l
	x := old[len(old)-1]
	*l = old[:len(old)-1]
	return x
}

// TestPromiseHoldsForMonths: while the capacity suffices, no service is asked
// later than promised, whatever else is due: floods of finds, confirmations,
// visits that hang, people who ask.
func TestPromiseHoldsForMonths(t *testing.T) {
	const days = 40
	s := newSim(4)
	s.add("large", 60, 3, 15*time.Minute, func() time.Time { return t0 })
	s.add("small", 4, 3, 5*time.Minute, func() time.Time { return t0 })
	s.add("slow", 20, 10, 24*time.Hour, func() time.Time { return t0 })
	busy := time.Duration(0)
	s.takes = func(Entry) time.Duration { // 4 s in the mean
		d := time.Duration(s.rng.IntN(2000)) * time.Millisecond
		if s.rng.IntN(4) == 0 {
			d = 12*time.Second + 800*time.Millisecond
		}
		busy += d
		return d
	}
	worst, visits := 0.0, 0
	s.landed = func(e Entry, at time.Time) {
		visits++
		share := float64(at.Sub(s.known[e.ID])) / float64(s.every[e.Watch])
		worst = max(worst, share)
	}
	for hour := range 24 * days {
		s.flood("large", 60, 3, 1, s.rng.IntN(300))
		s.run(t0.Add(time.Duration(hour+1) * time.Hour))
	}
	use := busy.Seconds() / (days * 86400 * float64(s.slots))
	t.Logf("%d visits in %d days, %.0f %% of the capacity, the latest after %.3f of its promise", visits, days, 100*use, worst)
	if worst > 1 {
		t.Errorf("a service was asked after %.3f of its promise", worst)
	}
	if use < 0.3 {
		t.Errorf("only %.2f of the capacity was used: that proves little", use)
	}
}

// flood asks at once for n endpoints of a watch, each of some kind; people ask
// for four of them.
func (s *sim) flood(watch string, hosts, ports, base, n int) {
	for m := range n {
		i := idAt(1000*base+s.rng.IntN(hosts), s.rng.IntN(ports))
		if s.known[i].IsZero() {
			panic("a flood of what is not known")
		}
		kind := Confirm + Kind(m%2)
		if m < 4 {
			kind = Manual
		}
		s.q.Put(Entry{ID: i, Watch: watch, Kind: kind, Due: s.now}, s.now)
	}
}

// TestLoadIsEven: found all in one minute, services are asked evenly from the
// first round on.
func TestLoadIsEven(t *testing.T) {
	s := newSim(100)
	const hosts, ports = 400, 10
	s.add("lan", hosts, ports, time.Hour, func() time.Time { return t0.Add(time.Duration(s.rng.IntN(60)) * time.Second) })
	perMinute := map[time.Duration]int{}
	s.begun = func(_ Entry, at time.Time) { perMinute[at.Sub(t0).Truncate(time.Minute)]++ }
	s.run(t0.Add(2 * 24 * time.Hour))
	mean, most, least := float64(hosts*ports)*Load(time.Hour)/60, 0, 1<<30
	for m := 2 * time.Minute; m < 2*24*time.Hour; m += time.Minute {
		most, least = max(most, perMinute[m]), min(least, perMinute[m])
	}
	t.Logf("per minute %d to %d, mean %.0f", least, most, mean)
	if float64(most) > 1.6*mean || float64(least) < 0.5*mean {
		t.Errorf("%d to %d visits per minute, mean %.0f", least, most, mean)
	}
}

// TestRestartWithAllDue: after a stop that was longer than the promise the rate
// is bounded, and all is made up in a third of the time.
func TestRestartWithAllDue(t *testing.T) {
	s := newSim(1000)
	const hosts, ports = 400, 10
	every := 15 * time.Minute
	s.add("lan", hosts, ports, every, func() time.Time { return t0.Add(-48*time.Hour + time.Duration(s.rng.IntN(900))*time.Second) })
	s.q.Spread("lan", hosts*ports, every, t0)
	perMinute, seen := map[time.Duration]int{}, map[ID]time.Time{}
	s.begun = func(e Entry, at time.Time) {
		perMinute[at.Sub(t0).Truncate(time.Minute)]++
		if _, ok := seen[e.ID]; !ok {
			seen[e.ID] = at
		}
	}
	s.run(t0.Add(2 * time.Hour))
	mean, most := float64(hosts*ports)*Load(every)/15, 0
	for _, n := range perMinute {
		most = max(most, n)
	}
	t.Logf("at most %d visits per minute, mean %.0f", most, mean)
	if float64(most) > (catchUp+1)*mean {
		t.Errorf("%d visits in one minute, mean %.0f", most, mean)
	}
	for i, at := range seen {
		if at.Sub(t0) > every/catchUp+time.Minute {
			t.Fatalf("%v was asked first after %v", i, at.Sub(t0))
		}
	}
	if len(seen) != hosts*ports {
		t.Errorf("%d of %d were asked", len(seen), hosts*ports)
	}
}

// TestRestartInStep: a short stop costs what was due in it and no more.
func TestRestartInStep(t *testing.T) {
	s := newSim(1000)
	every := 15 * time.Minute
	s.add("lan", 400, 10, every, func() time.Time { return t0.Add(-time.Duration(s.rng.IntN(500)) * time.Second) })
	s.run(t0.Add(2 * time.Hour))
	again := newSim(1000)
	again.every, again.now = s.every, s.now.Add(30*time.Second)
	for i, last := range s.known {
		again.plan(Entry{ID: i, Watch: "lan"}, last)
	}
	again.q.Spread("lan", len(s.known), every, again.now)
	worst, visits := time.Duration(0), 0
	again.landed = func(e Entry, at time.Time) {
		visits++
		worst = max(worst, at.Sub(again.known[e.ID]))
	}
	from := again.now
	again.run(from.Add(every))
	if worst > every {
		t.Errorf("after a stop of 30 s a service was asked after %v", worst)
	}
	if most := len(s.known) * 125 / 100; visits > most {
		t.Errorf("%d visits of %d services in one round", visits, len(s.known))
	}
}

// TestSmallWatchIsNotStarved: a watch that has far more to do than there is
// room for, with visits that hang, leaves a small one its own.
func TestSmallWatchIsNotStarved(t *testing.T) {
	s := newSim(10)
	s.add("large", 900, 100, 15*time.Minute, func() time.Time { return t0.Add(-time.Hour) })
	s.add("small", 5, 2, 5*time.Minute, func() time.Time { return t0 })
	s.takes = func(e Entry) time.Duration {
		if e.Watch == "large" {
			return 12 * time.Second
		}
		return time.Second
	}
	count := map[string]int{}
	s.landed = func(e Entry, at time.Time) {
		count[e.Watch]++
		if age := at.Sub(s.known[e.ID]); e.Watch == "small" && age > 5*time.Minute {
			t.Fatalf("the small watch's %v was asked after %v", e.ID.Key, age)
		}
	}
	s.run(t0.Add(24 * time.Hour))
	if most := 24 * 3600 * 10 / 12; count["large"] < most*90/100 {
		t.Errorf("the large watch made %d visits of %d that there is room for", count["large"], most)
	}
}

// TestTarpitHoldsUpOnlyItself: a host on which every port is open keeps its
// thousands of visits waiting, and nobody else's.
func TestTarpitHoldsUpOnlyItself(t *testing.T) {
	s := newSim(5)
	s.add("lan", 50, 4, 15*time.Minute, func() time.Time { return t0 })
	for p := range 5000 {
		s.q.Put(Entry{ID: idAt(7, p), Watch: "lan", Kind: Sighted, Due: t0}, t0)
	}
	s.takes = func(Entry) time.Duration { return 2 * time.Second }
	visits := 0
	s.landed = func(e Entry, at time.Time) {
		if e.ID.Key.Addr == idAt(7, 0).Key.Addr {
			visits++
			return
		}
		if age := at.Sub(s.known[e.ID]); age > 15*time.Minute {
			t.Fatalf("%v was asked after %v", e.ID.Key, age)
		}
	}
	s.run(t0.Add(2 * time.Hour))
	if visits < 3000 {
		t.Errorf("%d visits of the tarpit, there was room for 3,600", visits)
	}
}

// TestClockJumpsMoveNothing: turns are by the Clock, so that setting the wall
// clock changes none of them.
func TestClockJumpsMoveNothing(t *testing.T) {
	run := func(jump time.Duration) (out []string) {
		wall, elapsed := t0, time.Duration(0)
		c := NewClock(func() time.Time { return wall }, func() time.Duration { return elapsed })
		q, r := NewQueue(nil), NewRhythm(1)
		for p := range 50 {
			due, late := r.Turn(id(p).Key, c.Now(), time.Hour)
			q.Put(Entry{ID: id(p), Watch: "lan", Kind: Verify, Due: due, Late: late}, c.Now())
		}
		for minute := range 24 * 60 {
			wall, elapsed = wall.Add(time.Minute), elapsed+time.Minute
			if minute == 90 {
				wall = wall.Add(jump)
			}
			for {
				e, ok := q.Next(c.Now(), true)
				if !ok {
					break
				}
				out = append(out, fmt.Sprint(minute, e.ID.Key.Port))
				q.Done(e.ID, c.Now())
				due, late := r.Turn(e.ID.Key, c.Now(), time.Hour)
				q.Put(Entry{ID: e.ID, Watch: "lan", Kind: Verify, Due: due, Late: late}, c.Now())
			}
		}
		return out
	}
	still := fmt.Sprint(run(0))
	for _, jump := range []time.Duration{-time.Hour, 24 * time.Hour, -20 * 365 * 24 * time.Hour} {
		if got := fmt.Sprint(run(jump)); got != still {
			t.Errorf("a jump by %v changes what is asked when", jump)
		}
	}
}
