package inventory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// A journal is the naive reference: it keeps every visit and recomputes from
// the whole list what the rules say, instead of carrying a state along.
type journal struct {
	rules     Rules
	transport probes.Transport
	visits    []Visit
	status    Status
	since     int             // index of the visit that made it present
	known     map[string]bool // versions ever told
	unstable  int             // index of the visit that made it unstable, 0: none did
	settled   int             // index of the visit that made it stable again, or told what it is
	ended     map[int]bool    // visits that ended a confirmation
}

// wants gives the events that the last visit must bring about, of the kinds
// that can be told exactly from the journal while the endpoint is present.
func (j *journal) wants() string {
	if j.status != Present {
		return ""
	}
	recent := j.visits[j.since+1:]
	if len(recent) == 0 {
		return ""
	}
	last := recent[len(recent)-1]
	misses := recent
	for i, v := range recent {
		if v.Observation.State == probes.Open {
			misses = recent[i+1:]
		}
	}
	if last.Observation.Outcome == probes.OutcomeRefused &&
		long(misses, probes.OutcomeRefused, j.rules.ClosedVisits, j.rules.ClosedAfter) {
		return "service.gone closed"
	}
	if last.Observation.Outcome == probes.OutcomeSilent && j.transport == probes.TCP &&
		last.Observation.State != probes.Open &&
		long(misses, probes.OutcomeSilent, j.rules.FilteredVisits, j.rules.GoneAfter) {
		return "service.gone filtered"
	}
	if last.Observation.Outcome != probes.OutcomeAnswered {
		return ""
	}
	if len(j.known) == 0 {
		return "" // what it is was not known yet: learned, not changed
	}
	if j.known[last.Observation.Version] {
		return j.steadiness()
	}
	sights := j.agreeing(last.Observation.Version)
	if len(sights) >= j.rules.ChangedVisits && last.At.Sub(sights[len(sights)-1].At) >= j.rules.ChangedOver {
		return "service.changed " + last.Observation.Version
	}
	return ""
}

// observations gives the index of each visit since some other that said
// something about the identity.
func (j *journal) observations(since int) (list []int) {
	for i := since + 1; i < len(j.visits); i++ {
		if j.visits[i].Observation.Outcome == probes.OutcomeAnswered {
			list = append(list, i)
		}
	}
	return list
}

// agreeing gives the visits that speak for a change to a version, the latest
// first: those in a row, or, while unstable, all since it was steady last.
func (j *journal) agreeing(version string) (list []Visit) {
	for _, i := range slices.Backward(j.observations(max(j.since, j.settled))) {
		v := j.visits[i]
		switch {
		case v.Observation.Version == version:
			list = append(list, v)
		case j.unstable == 0:
			return list
		}
	}
	return list
}

// steadiness gives the event of a visit that saw a known version.
func (j *journal) steadiness() string {
	seen := j.observations(max(j.since, j.settled))
	if j.unstable != 0 {
		row := 0
		for _, i := range slices.Backward(seen) {
			if j.visits[i].Observation.Version != j.visits[seen[len(seen)-1]].Observation.Version || i < j.unstable {
				break
			}
			row++
		}
		if row >= j.rules.StableAfter {
			return "service.stable"
		}
		return ""
	}
	alternations := 0
	for n := max(0, len(seen)-j.rules.UnstableOf); n < len(seen); n++ {
		if j.ended[seen[n]] {
			alternations++
		}
	}
	if alternations >= j.rules.UnstableSwings {
		return "service.unstable"
	}
	return ""
}

// alternates tells whether the last visit saw what is known after one that saw
// what was not.
func (j *journal) alternates() bool {
	seen := j.observations(j.since)
	if len(seen) < 2 || seen[len(seen)-1] != len(j.visits)-1 {
		return false
	}
	return j.known[j.visits[seen[len(seen)-1]].Observation.Version] &&
		!j.known[j.visits[seen[len(seen)-2]].Observation.Version]
}

func long(misses []Visit, of probes.Outcome, visits int, over time.Duration) bool {
	misses = slices.DeleteFunc(slices.Clone(misses), func(v Visit) bool {
		return v.Observation.Outcome != of
	})
	return len(misses) >= visits && misses[len(misses)-1].At.Sub(misses[0].At) >= over
}

// follow takes over what was told, after holding it against the rules that do
// not depend on the path: what may follow what.
func (j *journal) follow(e *event.Event) error {
	switch e.Action {
	case event.ServiceBaseline, event.ServiceNew:
		if j.status != Unknown {
			return fmt.Errorf("%s while %s", e.Action, j.status)
		}
		if e.Action == event.ServiceNew {
			if err := j.twice(); err != nil {
				return err
			}
		}
		j.status, j.since = Present, len(j.visits)-1
	case event.ServiceReturned:
		if j.status != Gone {
			return fmt.Errorf("returned while %s", j.status)
		}
		if err := j.twice(); err != nil {
			return err
		}
		j.status, j.since = Present, len(j.visits)-1
	case event.ServiceGone:
		j.status, j.unstable, j.settled = Gone, 0, 0
	case event.ServiceUnstable:
		j.unstable = len(j.visits) - 1
	case event.ServiceStable:
		j.unstable, j.settled = 0, len(j.visits)-1
	case event.ServiceReclassified: // what it is was not known before
		j.settled = len(j.visits) - 1
	case event.ServiceUnverified:
		if j.status != Present {
			return fmt.Errorf("unverified while %s", j.status)
		}
	}
	if e.Endpoint.Version != "" && e.Action != event.ServiceGone {
		j.known[e.Endpoint.Version] = true
	}
	return nil
}

// twice says whether at least two visits over the spacing found it there
// since it was last told anything of.
func (j *journal) twice() error {
	var there []Visit
	for _, v := range slices.Backward(j.visits) {
		if v.Observation.State == probes.Open {
			there = append(there, v)
		}
	}
	if len(there) < j.rules.NewVisits || there[0].At.Sub(there[len(there)-1].At) < j.rules.NewSpacing {
		return fmt.Errorf("told after %d visits found it", len(there))
	}
	return nil
}

func randomVisit(r *rand.Rand, at time.Time, transport probes.Transport) Visit {
	v := visitOf("192.0.2.1", 22, at, "p", "")
	v.Key.Transport = transport
	v.HostAlive = at
	o := &v.Observation
	*o = probes.Observation{State: probes.Open}
	switch n := r.IntN(100); {
	case n < 60:
		o.Outcome, o.Strength, o.Probe = probes.OutcomeAnswered, probes.Hard, "NULL"
		// Most often the same one, so that confirmations do succeed.
		version := []string{"1", "1", "2", "2", "2", "3", "4"}[r.IntN(7)]
		o.Identity = match.Identity{Service: "s", Product: "p", Version: version}
	case n < 75:
		o.Outcome, o.State = probes.OutcomeRefused, probes.Closed
	case n < 90:
		o.Outcome, o.State = probes.OutcomeSilent, probes.Filtered
	case n < 93:
		o.Outcome = probes.OutcomeSilent // accepted, but mute
	case n < 96:
		o.Outcome = probes.OutcomeBlocked
	default:
		o.Outcome = probes.OutcomeInconclusive
	}
	return v
}

// histories is how many random histories of an endpoint are tried.
const histories = 10_000

// TestDecideAgainstTheJournal runs random visits. Where the same thing is seen
// again and again for a while, confirmations come to their end.
func TestDecideAgainstTheJournal(t *testing.T) {
	const shares = 4
	var all [shares]map[event.Action]int
	t.Run("", func(t *testing.T) {
		for share := range uint64(shares) {
			told := map[event.Action]int{}
			all[share] = told
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for seed := share; seed < histories; seed += shares {
					runAgainstTheJournal(t, seed, told)
				}
			})
		}
	})
	for _, a := range []event.Action{event.ServiceBaseline, event.ServiceNew, event.ServiceChanged,
		event.ServiceGone, event.ServiceReturned, event.ServiceUnverified,
		event.ServiceUnstable, event.ServiceStable} {
		n := 0
		for _, told := range all {
			n += told[a]
		}
		t.Logf("%s: %d", a, n)
		if n < 100 {
			t.Errorf("%s was told %d times only: the visits do not try it", a, n)
		}
	}
}

func runAgainstTheJournal(t *testing.T, seed uint64, told map[event.Action]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	j := &journal{rules: DefaultRules(), transport: probes.TCP, known: map[string]bool{}, ended: map[int]bool{}}
	if seed%3 == 0 {
		j.transport = probes.UDP
	}
	steps := []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour, 48 * time.Hour}
	var old *Endpoint
	at, v := day1, Visit{}
	for n := range 30 + 30*int(seed&1) {
		again := 4 // of ten visits see something else than the one before
		if seed%5 < 2 {
			again = 9 - 7*(n/15%2)
		}

		at = at.Add(time.Duration(r.Int64N(int64(steps[r.IntN(len(steps))]))))
		if n == 0 || r.IntN(10) < again {
			v = randomVisit(r, at, j.transport)
			for seed%5 < 2 && v.Observation.State != probes.Open && r.IntN(10) > 0 {
				v = randomVisit(r, at, j.transport) // to and fro needs to be there
			}
		}
		v.At, v.HostAlive = at, at
		if seed%2 == 0 {
			v.AbsentAt = day1
		}
		j.visits = append(j.visits, v)
		if j.status == Present && j.alternates() {
			j.ended[n] = true
		}
		want := j.wants()
		e, events := Decide(old, v, j.rules)
		got, err := j.followAll(events, told)
		switch {
		case err != nil:
			t.Fatalf("seed %d, visit %d: %v", seed, n, err)
		case got != want:
			t.Fatalf("seed %d, visit %d: told %q, the journal says %q", seed, n, got, want)
		case !e.Next.At.IsZero() && e.Next.At.Before(at):
			t.Fatalf("seed %d, visit %d: next at %s, now it is %s", seed, n, e.Next.At, at)
		}
		old = &e
		if e.Status == Unknown {
			old = nil
		}
	}
}

// followAll follows the events and gives those that wants gives.
func (j *journal) followAll(events []event.Event, told map[event.Action]int) (got string, err error) {
	for i := range events {
		ev := &events[i]
		told[ev.Action]++
		switch {
		case ev.Action == event.ServiceGone:
			got += string(ev.Action) + " " + ev.Reason
		case ev.Action == event.ServiceUnstable, ev.Action == event.ServiceStable:
			got += string(ev.Action)
		case ev.Action == event.ServiceChanged:
			got += string(ev.Action) + " " + ev.Endpoint.Version
		case ev.Action == event.ServiceReclassified && ev.Cause != event.CauseSelf:
			return got, fmt.Errorf("reclassified by %s", ev.Cause)
		}
		if err := j.follow(ev); err != nil {
			return got, err
		}
	}
	return got, nil
}
