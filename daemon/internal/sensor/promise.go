package sensor

import (
	"context"
	"fmt"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
)

// A watch makes two promises: every known service is asked within verify_every,
// and every address and port is tried in each span of discover_every. What is
// not kept is told as watch.overdue, and as watch.recovered when it is again.

const (
	// judgeEvery is how often the promises are looked at.
	judgeEvery = 30 * time.Second
	// settleMost bounds how long a promise must be kept to be told so; else
	// it is its own time.
	settleMost = 10 * time.Minute
)

// The names of the promises, which are the reasons in their events.
const (
	verifyPromise   = "verify_every"
	discoverPromise = "discover_every"
)

// A keeping is how the promises of a watch were told, and from when on they are
// judged: what was left behind while the sensor was away is made up by then, and
// the gap was told.
type keeping struct {
	verify, discover         schedule.Promise
	verifyFrom, discoverFrom time.Time
}

// What slows the visits of a service. Its promise is the slower one then.
const (
	// slowFragile: a device that is asked with care is asked half as often.
	slowFragile = 2
	// A service that refuses us is asked half as often from the first time on,
	// so that we do not prolong a ban, and down to an eighth; one that is not
	// reached from the failsUntil-th time on, down to a quarter.
	slowBlocked = 8
	slowFailing = 4
	failsUntil  = 4
	// slowMost is what no slowing goes beyond, unless the watch itself does.
	slowMost = 24 * time.Hour
)

// everyOf is how often an endpoint is asked.
func (s *Sensor) everyOf(key event.Key, k *known) time.Duration {
	every := s.watches[k.watch].VerifyEvery
	slow := 1
	switch {
	case k.outcome == probes.OutcomeBlocked:
		slow = min(1<<min(k.fails, 8), slowBlocked)
	case k.fails >= failsUntil:
		slow = min(1<<min(k.fails/failsUntil, 8), slowFailing)
	}
	if len(s.fragile[hostOf(key)]) > 0 {
		slow *= slowFragile
	}
	return max(every, min(every*time.Duration(slow), slowMost))
}

// failed tells whether a visit found a service shut to us, or did not reach it.
func failed(o *probes.Observation) bool {
	switch o.Outcome {
	case probes.OutcomeBlocked:
		return true
	case probes.OutcomeSilent, probes.OutcomeUnreachable, probes.OutcomeInconclusive:
		return o.State != probes.Open
	default:
		return false
	}
}

// takeUp goes on with watches after a time in which nothing was asked: what is
// overdue is made up one by one, and no promise is judged before that is done.
func (s *Sensor) takeUp(watches ...*Watch) {
	now := s.now()
	for _, w := range watches {
		k, window := s.keeping[w.Name], s.window(w, w.VerifyEvery)
		s.queue.Spread(w.Name, s.known.of(w.Name).known, window, now)
		k.verifyFrom = now.Add(window / 2) // a third for Spread, the rest for a queue
		for i := range w.Sweeps {
			k.discoverFrom = now.Add(2 * w.Sweeps[i].Every)
		}
	}
}

// judge tells which promises are broken, and which are kept again.
func (s *Sensor) judge(ctx context.Context) {
	now := s.now()
	for _, t := range s.tallies() {
		w, k := s.watches[t.watch], s.keeping[t.watch]
		if s.admitted[t.watch].shut == shutByHours {
			continue
		}
		if !now.Before(k.verifyFrom) {
			v := k.verify.Judge(now, t.overdue > 0, min(w.VerifyEvery, settleMost))
			s.tellPromise(ctx, v, w, verifyPromise, w.VerifyEvery, t.oldest,
				map[string]int{"known": t.known, "overdue": t.overdue})
		}
		if every := w.discoverEvery(); every > 0 && !now.Before(k.discoverFrom) {
			v := k.discover.Judge(now, s.late(w, now), 0)
			s.tellPromise(ctx, v, w, discoverPromise, every, t.sweepAge, map[string]int{})
		}
	}
}

// late says that the last complete sweeps of the watch are older than promised.
func (s *Sensor) late(w *Watch, now time.Time) bool {
	every, age := w.discoverEvery(), s.sweepAge(w, now)
	return every > 0 && (age < 0 || age > 2*every)
}

// discoverEvery is the promise of discovery, 0 without any.
func (w *Watch) discoverEvery() (every time.Duration) {
	for i := range w.Sweeps {
		every = max(every, w.Sweeps[i].Every)
	}
	return every
}

func (s *Sensor) tellPromise(ctx context.Context, v schedule.Verdict, w *Watch, name string,
	every, age time.Duration, counts map[string]int) {
	e := event.Event{Action: event.WatchOverdue, Cause: event.CauseSelf, Watch: w.Name, Zone: w.Zone,
		Reason: name, Counts: counts}
	counts["every_s"] = int(every.Seconds())
	if age >= 0 {
		counts["age_s"] = int(age.Seconds())
	}
	switch {
	case v == schedule.Same:
		return
	case v == schedule.Recovered:
		e.Action = event.WatchRecovered
		e.Message = fmt.Sprintf("watch %s: %s = %s holds again", w.Name, name, every)
	case name == verifyPromise:
		e.Message = fmt.Sprintf("watch %s: %d of %d services were not asked within %s = %s, one for %s",
			w.Name, counts["overdue"], counts["known"], name, every, age.Round(time.Second))
	case age < 0:
		e.Message = fmt.Sprintf("watch %s: no sweep was ever complete, %s = %s is promised", w.Name, name, every)
	default:
		e.Message = fmt.Sprintf("watch %s: the last complete sweep began %s ago, %s = %s is promised",
			w.Name, age.Round(time.Second), name, every)
	}
	s.record(ctx, e)
}

// loadPromises takes up what was told of promises before a restart.
func (s *Sensor) loadPromises(ctx context.Context) error {
	told, err := s.cfg.Inventory.Overdue(ctx)
	if err != nil {
		return err
	}
	for _, o := range told {
		k := s.keeping[o.Watch]
		switch {
		case k == nil:
		case o.Promise == verifyPromise:
			k.verify.Broken = true
		case o.Promise == discoverPromise:
			k.discover.Broken = true
		}
	}
	return nil
}
