package sensor

import (
	"context"
	"maps"
	"slices"
	"time"

	"sonde/probes"
	"sonde/probes/engine"
)

// An Overview is what a sensor does at one time.
type Overview struct {
	Watches  []Standing // the most overdue first
	Sweeps   []UnderWay // by watch
	Visits   int        // under way
	Outcomes map[probes.Outcome]int
	Resting  int  // hosts that are left alone, or were and have not been seen since
	Careful  int  // hosts that are asked with care
	Held     bool // nothing begins, see Config.Held
	Sockets  engine.Stats
	// Discovery is what Config.Discovery counts, Missed the sightings for which
	// the sensor had no room.
	Discovery map[string]int
	Missed    int64
}

// A Standing is how a watch stands, as heartbeats count it, and what waits for
// it.
type Standing struct {
	Watch, Zone                     string
	VerifyEvery, DiscoverEvery      time.Duration // its promises; 0: none
	Known, Fresh, Overdue, Unstable int
	Quarantined, Held, Blocked      int
	Oldest                          time.Duration // since that overdue service was asked which waits longest; 0: none
	SweepAge                        time.Duration // since the last complete sweep began; below 0: never
	VerifyBroken, DiscoverBroken    bool          // told to be
	Shut                            string        // why nothing is sent now: "active_hours" or "paused"

	Due, Later           int       // what waits for room, and for its time
	NextVisit, NextSweep time.Time // when the first of it is or was due, by the wall clock; zero: none waits
}

// An UnderWay is a sweep that was begun and is not complete.
type UnderWay struct {
	Watch     string
	Transport probes.Transport
	Since     time.Time
	Targets   uint64
	Asked     uint64 // of these, up to the last mark; 0 also where the way of asking has no marks
	Owed      int    // visits of what it found, without which it is not complete
	Asks      bool   // it still asks
}

// Overview tells what the sensor does. That takes the loop a moment for each
// watch, however much is known and waits. Any goroutine may call it; it fails
// when ctx ends or the sensor does not run.
func (s *Sensor) Overview(ctx context.Context) (Overview, error) {
	var v Overview
	err := s.do(ctx, func() {
		v = Overview{Watches: s.standings(), Visits: s.flying, Outcomes: maps.Clone(s.outcomes),
			Resting: len(s.resting), Careful: len(s.fragile), Held: s.held(), Missed: s.missed.Load()}
		for p := range s.passes {
			v.Sweeps = append(v.Sweeps, p.underWay())
		}
	})
	if err != nil {
		return Overview{}, err
	}
	slices.SortFunc(v.Sweeps, func(a, b UnderWay) int { return a.Since.Compare(b.Since) })
	if s.cfg.Sockets != nil {
		v.Sockets = s.cfg.Sockets()
	}
	if s.cfg.Discovery != nil {
		v.Discovery = s.cfg.Discovery()
	}
	return v, nil
}

func (s *Sensor) standings() (list []Standing) {
	now := s.now()
	loads := s.queue.Queued(now)
	wall := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return s.clock.WallAt(t)
	}
	for _, t := range s.tallies() {
		w, k, l := s.watches[t.watch], s.keeping[t.watch], loads[t.watch]
		list = append(list, Standing{Watch: t.watch, Zone: w.Zone, VerifyEvery: w.VerifyEvery, DiscoverEvery: w.discoverEvery(),
			Known: t.known, Fresh: t.fresh, Overdue: t.overdue, Unstable: t.unstable,
			Quarantined: t.quarantined, Held: t.held, Blocked: t.blocked, Oldest: t.oldest, SweepAge: t.sweepAge,
			VerifyBroken: k.verify.Broken, DiscoverBroken: k.discover.Broken, Shut: s.admitted[t.watch].shut,
			Due: l.Due, Later: l.Later, NextVisit: wall(l.Visit), NextSweep: wall(l.Sweep)})
	}
	return list
}

func (p *pass) underWay() UnderWay {
	u := UnderWay{Watch: p.watch.Name, Transport: p.sweep.Transport, Since: p.started,
		Asked: p.progress.Next, Owed: p.owed, Asks: !p.ended}
	for _, of := range p.parts {
		u.Asked = max(u.Asked, of.next)
	}
	u.Targets, _ = p.sweep.Plan.Len() // it is being swept, so that it has a length
	return u
}
