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
	if last.Observation.Outcome != probes.OutcomeAnswered || j.known[last.Observation.Version] {
		return ""
	}
	if len(j.known) == 0 {
		return "" // what it is was not known yet: learned, not changed
	}
	var agreeing []Visit
	for _, v := range slices.Backward(recent) {
		if v.Observation.Outcome != probes.OutcomeAnswered {
			continue
		}
		if v.Observation.Version != last.Observation.Version {
			break
		}
		agreeing = append(agreeing, v)
	}
	if len(agreeing) >= j.rules.ChangedVisits &&
		last.At.Sub(agreeing[len(agreeing)-1].At) >= j.rules.ChangedOver {
		return "service.changed " + last.Observation.Version
	}
	return ""
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
		j.status = Gone
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

// TestDecideAgainstTheJournal runs random visits. Where the same thing is seen
// again and again for a while, confirmations come to their end.
func TestDecideAgainstTheJournal(t *testing.T) {
	told := map[event.Action]int{}
	for seed := range uint64(1500) {
		runAgainstTheJournal(t, seed, told)
	}
	for _, a := range []event.Action{event.ServiceBaseline, event.ServiceNew, event.ServiceChanged,
		event.ServiceGone, event.ServiceReturned, event.ServiceUnverified} {
		if told[a] < 100 {
			t.Errorf("%s was told %d times only: the visits do not try it", a, told[a])
		}
	}
}

func runAgainstTheJournal(t *testing.T, seed uint64, told map[event.Action]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	j := &journal{rules: DefaultRules(), transport: probes.TCP, known: map[string]bool{}}
	if seed%3 == 0 {
		j.transport = probes.UDP
	}
	steps := []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour, 48 * time.Hour}
	var old *Endpoint
	at, v := day1, Visit{}
	for n := range 80 {
		at = at.Add(time.Duration(r.Int64N(int64(steps[r.IntN(len(steps))]))))
		if n == 0 || r.IntN(10) < 4 {
			v = randomVisit(r, at, j.transport)
		}
		v.At, v.HostAlive = at, at
		if seed%2 == 0 {
			v.AbsentAt = day1
		}
		j.visits = append(j.visits, v)
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
