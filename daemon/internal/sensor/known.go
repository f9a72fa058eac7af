package sensor

import (
	"context"
	"maps"
	"slices"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
	"sonde/probes/session"
)

// known is what the loop needs of an endpoint that is there, kept in memory.
type known struct {
	watch      string
	remembered session.Remembered
	visited    time.Time // when it was asked last
	unstable   bool
	fails      int            // visits in a row that found it shut to us, or not at all
	outcome    probes.Outcome // of the last visit
	verified   time.Time      // when its identity was last confirmed
	refreshed  time.Time      // when more than the identity was asked; zero: not since the start
}

// refreshEvery is how often certificates behind STARTTLS, host keys and the lists
// of port mappers are asked for again, but for a change that is being confirmed. They outlive the day, and whoever wants them
// sooner starts the sensor anew: it keeps in memory when it last asked.
const refreshEvery = 24 * time.Hour

// recall gives what a visit at now should remember.
func (k *known) recall(now time.Time) session.Remembered {
	r := k.remembered
	r.Extras = now.Sub(k.refreshed) >= refreshEvery
	return r
}

// climbs says whether a visit is to ask as the first one did: once in the watch's
// cycle, and after a change of the probes. What counts is when the identity was
// confirmed last, so that a visit that reached nothing is no such visit.
func (s *Sensor) climbs(key event.Key, k *known) bool {
	if k.remembered.Probe == "" || k.verified.IsZero() {
		return false
	}
	if !s.cfg.ProbesSince.IsZero() && k.verified.Before(s.clock.Ago(s.cfg.ProbesSince)) {
		return true
	}
	return s.rhythm.Crossed(key, k.verified, s.now(), s.watches[k.watch].ReclimbEvery)
}

// load fills schedule and memory from the inventory.
func (s *Sensor) load(ctx context.Context) error {
	now := s.now()
	for e, err := range s.cfg.Inventory.Endpoints(ctx, inventory.Filter{Brief: true}) {
		if err != nil {
			return err
		}
		w := s.watches[e.Watch]
		if w == nil || !w.Contains(e.Key.Addr, e.Key.Transport, e.Key.Port) {
			continue
		}
		s.weigh(e.Key, &e.Current, inventory.Standing{Status: e.Status, Next: e.Next})
		s.place(e.Key, &known{watch: e.Watch, remembered: session.Recall(&e.Current),
			visited: s.clock.Ago(e.LastVisited), verified: s.clock.Ago(e.LastVerified),
			outcome: e.Current.Outcome, unstable: e.Swing.Unstable},
			inventory.Standing{Status: e.Status, Next: e.Next})
		if e.Key.Transport == probes.TCP && isNew(inventory.Standing{Status: e.Status, Next: e.Next}) {
			s.lookAround(e.Key, w) // what it said is not read
		}
	}
	if err := s.loadDistress(ctx); err != nil {
		return err
	}
	passes, err := s.cfg.Inventory.Passes(ctx)
	if err != nil {
		return err
	}
	unfinished, err := s.cfg.Inventory.TakeUnfinished(ctx)
	if err != nil {
		return err
	}
	for i := range unfinished {
		s.begun = append(s.begun, left{Unfinished: unfinished[i]})
	}
	s.keepPlaces(ctx)
	for _, w := range s.watches {
		s.putSearch(w, now)
		for i := range w.Sweeps {
			sw := &w.Sweeps[i]
			id := sweepID(w, sw)
			began, ok := sw.lastOf(passes)
			due := now
			if ok {
				s.last[id] = s.clock.Ago(began)
				due = s.last[id].Add(sw.Every)
			}
			s.queue.Put(schedule.Entry{ID: id, Watch: w.Name, Kind: schedule.Sweep, Due: due}, now)
		}
	}
	s.takeUp(slices.Collect(maps.Values(s.watches))...)
	return s.loadPromises(ctx)
}

// learn keeps what a stored visit says of its endpoint, and schedules the next
// one.
func (s *Sensor) learn(v *inventory.Visit, after inventory.Standing) {
	s.weigh(v.Key, &v.Observation, after)
	k, _ := s.known.get(v.Key)
	k.watch, k.visited = v.Watch, s.now()
	o := &v.Observation
	k.outcome, k.unstable = o.Outcome, after.Unstable
	if k.fails++; !failed(o) {
		k.fails = 0
	}
	shut := session.Recall(o).Shut
	switch {
	case o.Cost.Extra != nil && after.Next.Why == inventory.ConfirmChanged:
		k.refreshed = time.Time{} // it may be of them that more is to be seen
	case o.Cost.Extra != nil || shut != nil && !shut.Remembered:
		k.refreshed = k.visited
	}
	switch o.Strength {
	case probes.Hard:
		if after.Next.Why != inventory.ConfirmChanged || !k.missed(o) {
			k.remembered = session.Recall(o)
		}
	case probes.Soft:
		// A better probe that was not answered this once must be asked again.
		if k.remembered.Probe == "" || k.remembered.Soft != "" {
			k.remembered = session.Recall(o)
		}
	default:
		// Of a TLS server that lets nobody in this is all that there is to know.
		switch {
		case k.remembered.Probe != "":
		case shut != nil:
			k.remembered = session.Recall(o)
		case k.remembered.Shut != nil && o.Outcome == probes.OutcomeAnswered:
			k.remembered = session.Remembered{}
		}
	}
	if !after.Verified.IsZero() {
		k.verified = s.clock.Ago(after.Verified)
	}
	s.place(v.Key, &k, after)
}

// missed says that a visit asked for what is believed first, and was answered by
// another probe. While that is confirmed the visits ask so again: where an answer
// was lost, what the other probe draws would else confirm itself.
func (k *known) missed(o *probes.Observation) bool {
	was := k.remembered.Probe
	return was != "" && was != o.Probe && slices.Contains(o.Asked, was)
}

// place keeps an endpoint that is there, or may be, and schedules its next
// visit: for a confirmation, and in any case within the promise. What is gone,
// or was never there, is left to discovery.
func (s *Sensor) place(key event.Key, k *known, after inventory.Standing) {
	now := s.now()
	var next time.Time
	if !after.Next.At.IsZero() {
		next = s.clock.At(after.Next.At)
	}
	if after.Status == inventory.Gone || after.Status == inventory.Unknown {
		s.drop(key)
		if !next.IsZero() {
			s.queue.Put(schedule.Entry{ID: schedule.ID{Key: key}, Watch: k.watch,
				Kind: schedule.Confirm, Due: next}, now)
		}
		return
	}
	s.keep(key, k)
	e := schedule.Entry{ID: schedule.ID{Key: key}, Watch: k.watch, Kind: schedule.Verify}
	e.Due, e.Late = s.rhythm.Turn(key, k.visited, s.everyOf(key, k))
	if !next.IsZero() && !next.After(e.Late) { // and not before that
		e.Kind, e.Due = schedule.Confirm, next
	}
	s.queue.Put(e, now)
}
