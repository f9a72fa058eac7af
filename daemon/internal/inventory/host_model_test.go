package inventory

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A diary is the naive reference of one host: it keeps every visit since the
// host was last told of, and looks at all of them again each time.
type diary struct {
	rules  Rules
	mac    bool // its machine would be known at another address
	gone   bool
	visits []Visit
	alive  time.Time
}

// wants says what the last visit must bring about.
func (d *diary) wants() (gone, returned bool) {
	var misses, signs []time.Time
	for _, v := range d.visits {
		switch signOfLife(&v) {
		case there:
			misses, signs = nil, append(signs, v.At)
		case silent:
			misses = append(misses, v.At)
			if enough(misses, d.rules.FilteredVisits, d.rules.GoneAfter) {
				signs = nil // it only seemed to be back
			}
		}
	}
	last := d.visits[len(d.visits)-1]
	switch signOfLife(&last) {
	case there:
		return false, d.gone && enough(signs, d.rules.NewVisits, d.rules.NewSpacing)
	case silent:
		over := d.rules.GoneAfter
		if d.mac && last.Late && !d.gone {
			over *= 2
		}
		return !d.gone && enough(misses, d.rules.FilteredVisits, over) &&
			last.At.Sub(d.alive) >= d.rules.GoneAfter && !last.Held, false
	}
	return false, false
}

// lasting tells whether the host was missing long enough by the last visit.
func (d *diary) lasting() bool {
	last := len(d.visits) - 1
	unheld := *d
	unheld.visits = append([]Visit(nil), d.visits...)
	unheld.visits[last].Held, unheld.visits[last].Late = false, false
	gone, _ := unheld.wants()
	return gone
}

func enough(times []time.Time, n int, over time.Duration) bool {
	return len(times) >= n && times[len(times)-1].Sub(times[0]) >= over
}

func (d *diary) take(v Visit) {
	d.visits = append(d.visits, v)
	if signOfLife(&v) == there {
		d.alive = v.At
	}
}

func (d *diary) tell(gone bool) { d.gone, d.visits = gone, d.visits[len(d.visits)-1:] }

func randomSign(r *rand.Rand, likely int) Visit {
	v := Visit{Key: event.Key{Zone: "z", Transport: probes.TCP, Port: uint16(1 + r.IntN(3))}, Held: r.IntN(20) == 0,
		Late: r.IntN(4) == 0}
	if r.IntN(5) == 0 {
		v.Key.Transport = probes.UDP
	}
	o := &v.Observation
	switch n := r.IntN(100); {
	case n < likely:
		o.State, o.Outcome = probes.Open, probes.OutcomeAnswered
	case n < likely+5:
		o.Outcome = probes.OutcomeRefused
	case n < 85:
		o.Outcome = probes.OutcomeSilent
	case n < 93:
		o.Outcome, o.Reason = probes.OutcomeUnreachable, "host-unreach"
	case n < 96:
		o.Outcome, o.Reason = probes.OutcomeUnreachable, "net-unreach"
	default:
		o.Outcome = probes.OutcomeInconclusive
	}
	return v
}

// TestDecideHostAgainstTheDiary runs random visits to one host.
func TestDecideHostAgainstTheDiary(t *testing.T) {
	steps := []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour}
	counts := map[string]int{}
	for seed := range uint64(histories) {
		r := rand.New(rand.NewPCG(seed, 2))
		h := Host{Status: Present, Alive: day1}
		d := &diary{rules: DefaultRules(), alive: day1, mac: r.IntN(2) == 0}
		if h.ID.Addr = netip.MustParseAddr("192.0.2.1"); d.mac {
			h.MAC = "02:00:00:00:00:01"
		}
		at, likely := day1, 50
		for n := range 60 {
			if n%12 == 0 {
				likely = []int{2, 20, 60, 80}[r.IntN(4)] // it goes and comes back
			}
			v := randomSign(r, likely)
			at = at.Add(time.Duration(1 + r.Int64N(int64(steps[r.IntN(len(steps))]))))
			v.At = at
			d.take(v)
			if d.mac && v.Late && !d.gone && d.lasting() {
				counts["gone but for late sweeps"]++
			}
			wantGone, wantReturned := d.wants()
			now, verdict := DecideHost(h, v, d.rules)
			if told := verdict.Gone && !verdict.Quiet; told != wantGone || verdict.Returned != wantReturned {
				t.Fatalf("seed %d, visit %d: gone %t, returned %t; the diary says %t, %t", seed, n,
					told, verdict.Returned, wantGone, wantReturned)
			}
			switch {
			case wantGone:
				d.tell(true)
				counts["gone"]++
			case wantReturned:
				d.tell(false)
				counts["returned"]++
			case verdict.Quiet:
				counts["seemed to be back"]++
			}
			if v.Held && d.lasting() {
				d.visits = d.visits[len(d.visits)-1:] // judged again from now on
			}
			h = now
		}
	}
	for _, what := range []string{"gone", "returned", "seemed to be back", "gone but for late sweeps"} {
		if counts[what] < 100 {
			t.Errorf("%s: %d times only", what, counts[what])
		}
	}
	t.Log(counts)
}

// TestDecideMassAgainstItsWords runs random numbers of missing hosts, and
// restates when they are told and held.
func TestDecideMassAgainstItsWords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	rules := DefaultRules()
	told := map[event.Action]int{}
	for _, sign := range []string{signMissing, "closed"} {
		var m *Mass
		var since time.Time // zero: nothing was told that still holds
		at := day1
		for range 20_000 {
			at = at.Add(time.Duration(r.Int64N(int64([]time.Duration{time.Minute, 3 * time.Hour}[r.IntN(2)]))))
			w := Window{At: at, Known: r.IntN(120), Alike: r.IntN(40)}
			many := w.Alike > 10 && w.Alike*100 > w.Known*20
			var want event.Action
			var wantHeld bool
			switch age := at.Sub(since); {
			case since.IsZero() && many:
				want, wantHeld, since = event.WatchMassChange, true, at
				if sign == signMissing {
					want = event.WatchUnreachable
				}
			case since.IsZero():
			case sign == signMissing && !many:
				want, since = event.WatchRecovered, time.Time{}
			case sign == signMissing:
				wantHeld = age < rules.MassHold
			case age < rules.MassWindow:
				wantHeld = true
			case !many:
				since = time.Time{}
			}
			now, tell, held := DecideMass(m, sign, w, rules)
			if tell != want || held != wantHeld || (now == nil) != since.IsZero() {
				t.Fatalf("%s at %s, %+v: told %q, held %t; want %q, %t", sign, at, w, tell, held, want, wantHeld)
			}
			told[tell]++
			m = now
		}
	}
	for _, a := range []event.Action{event.WatchUnreachable, event.WatchRecovered, event.WatchMassChange} {
		if told[a] < 100 {
			t.Errorf("%s: %d times only", a, told[a])
		}
	}
}
