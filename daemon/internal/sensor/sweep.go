package sensor

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
)

// A pass is a sweep under way. It is complete when every target had its reply
// and every endpoint that it found was visited: only then does it prove what
// is absent.
type pass struct {
	watch   *Watch
	sweep   *Sweep
	id      schedule.ID
	started time.Time // by the wall clock
	began   time.Time // by the schedule's
	spoiled bool      // the machine slept: answers may be lost
	owed    int       // visits of what it found that are not stored yet
	parts   []*part
	ended   bool
	stats   capture.Stats
	resting []netip.Prefix // hosts that were left out

	progress inventory.Unfinished // as it was stored last
}

// A sighting is a reply that the loop must look at, or a mark of the sweep.
type sighting struct {
	watch *Watch
	pass  *pass // nil for a round
	reply capture.Reply
	mark  uint64 // 0: none
}

// A sweepEnd says that a sweep is through.
type sweepEnd struct {
	pass  *pass
	stats capture.Stats
	err   error
}

func sweepID(w *Watch, sw *Sweep) schedule.ID {
	return schedule.ID{Sweep: w.Name + "/" + string(sw.Transport)}
}

// lastOf tells when the last complete pass of the sweep's own scope began.
func (sw *Sweep) lastOf(passes []inventory.Pass) (began time.Time, ok bool) {
	for i := range passes {
		if p := &passes[i]; sw.sameScope(p) {
			began, ok = p.Started, true
		}
	}
	return began, ok
}

// sameScope says whether a pass was of the sweep's own scope.
func (sw *Sweep) sameScope(p *inventory.Pass) bool {
	want := &sw.Pass
	return p.Watch == want.Watch && p.Zone == want.Zone && p.Method == want.Method &&
		p.Ports == want.Ports && samePrefixes(p.Targets, want.Targets) &&
		samePrefixes(p.Exclude, slices.Concat(want.Exclude, p.Exclude))
}

// samePrefixes compares them as sets.
func samePrefixes(a, b []netip.Prefix) bool {
	set := func(list []netip.Prefix) []netip.Prefix {
		s := slices.Clone(list)
		slices.SortFunc(s, netip.Prefix.Compare)
		return slices.Compact(s)
	}
	return slices.Equal(set(a), set(b))
}

// startSweep begins a sweep.
func (s *Sensor) startSweep(ctx context.Context, e schedule.Entry) {
	w := s.watches[e.Watch]
	at := slices.IndexFunc(w.Sweeps, func(sw Sweep) bool { return sweepID(w, &sw) == e.ID })
	sw := &w.Sweeps[at]
	p := &pass{watch: w, sweep: sw, id: e.ID, started: s.cfg.Now(), began: s.now(),
		resting: s.quarantined(w.Zone)}
	s.passes[p] = struct{}{}
	p.parts = []*part{{pass: p}}
	plan := sw.Plan
	plan.Seed = rand.Uint64()
	resumed := s.resume(p, &plan)
	plan.Skip = s.admitted[w.Name].gate.skip(ctx, among(p.resting))
	begun := sw.Pass
	begun.Started = p.started
	if err := s.cfg.Inventory.PassStarted(ctx, begun); err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("begin of sweep not stored", "err", err)
	}
	if resumed {
		s.saveProgress(ctx, p) // it was taken from the store
	} else {
		s.cfg.Log.Info("sweep begins", "watch", w.Name, "transport", sw.Transport)
		sum, _ := checkSum(&plan)
		p.progress = inventory.Unfinished{Pass: begun, Seed: plan.Seed, Order: sum}
	}
	s.running.Go(func() {
		stats, err := s.sweep(ctx, p, plan)
		if ctx.Err() != nil {
			return // cut short
		}
		select {
		case s.swept <- sweepEnd{p, stats, err}:
		case <-ctx.Done():
		}
	})
}

// sweep runs a sweep and hands what it finds to the loop.
func (s *Sensor) sweep(ctx context.Context, p *pass, plan capture.Plan) (capture.Stats, error) {
	of := sighting{watch: p.watch, pass: p}
	plan.Checkpoint = func(next uint64) {
		if ctx.Err() == nil { // else what is left was skipped
			s.hand(ctx, sighting{watch: p.watch, pass: p, mark: next})
		}
	}
	return p.watch.Sweeper.Sweep(ctx, plan, s.yield(ctx, of))
}

// sight looks at one reply: what answers and is not known is visited now, and
// so is what is known and was refused.
func (s *Sensor) sight(r sighting) {
	k := event.Key{Zone: r.watch.Zone, Addr: r.reply.Addr.Addr(),
		Transport: probes.Transport(r.reply.Network), Port: r.reply.Addr.Port()}
	if q, ok := s.resting[hostOf(k)]; ok && s.now().Before(q.until) {
		if r.pass != nil {
			r.pass.leaveOut(k.Addr)
		}
		return
	}
	answered := r.reply.Kind == capture.Accepted || r.reply.Kind == capture.Answered
	if _, there := s.known.get(k); answered == there {
		return
	}
	e := schedule.Entry{ID: schedule.ID{Key: k}, Watch: r.watch.Name,
		Kind: schedule.Verify, Due: s.now(), Late: s.now()}
	if answered {
		e.Kind, e.Late = schedule.Sighted, time.Time{}
		d := s.owed[k]
		if d == nil {
			d = &debt{}
			s.owed[k] = d
		}
		d.reply = r.reply
		if r.pass != nil {
			d.parts = append(d.parts, r.pass.last())
			r.pass.owed++
			r.pass.last().owed++
		}
	}
	s.queue.Put(e, s.now())
}

// endSweep takes the end of a sweep.
func (s *Sensor) endSweep(ctx context.Context, e sweepEnd) {
	p := e.pass
	p.ended, p.stats = true, e.stats
	p.stats.Degraded = p.stats.Degraded || p.spoiled
	if e.err != nil {
		p.stats.Degraded = true
		s.cfg.Log.Error("sweep failed", "watch", p.watch.Name, "transport", p.sweep.Transport,
			"err", e.err)
	}
	s.complete(ctx, p)
}

// complete records a pass that has ended and owes nothing, and schedules the
// next one.
func (s *Sensor) complete(ctx context.Context, p *pass) {
	if !p.ended || p.owed > 0 {
		return
	}
	delete(s.passes, p)
	done := p.sweep.Pass
	done.Started, done.Done, done.Degraded = p.started, s.cfg.Now(), p.stats.Degraded
	if len(p.resting) > 0 {
		done.Exclude, done.Partial = slices.Concat(done.Exclude, p.resting), true
	}
	log := s.cfg.Log.With("watch", p.watch.Name, "transport", p.sweep.Transport)
	due := p.began.Add(p.sweep.Every)
	switch err := s.cfg.Inventory.PassDone(ctx, done); {
	case err != nil:
		log.Error("sweep not stored, it is made again", "err", err)
		due = s.sweepAgain(p)
	case done.Degraded:
		due = s.sweepAgain(p)
		log.Warn("sweep incomplete, it proves nothing absent and is made again",
			"not_tried", p.stats.NotTried, "in", due.Sub(s.now()))
	default:
		delete(s.failed, p.id)
		s.last[p.id] = p.began
		log.Info("sweep complete", "took", done.Done.Sub(done.Started).Round(time.Millisecond),
			"targets", p.stats.Targets, "open", p.stats.Accepted+p.stats.Answered)
	}
	s.queue.Done(p.id, s.now())
	s.queue.Put(schedule.Entry{ID: p.id, Watch: p.watch.Name, Kind: schedule.Sweep, Due: due}, s.now())
}

// sweepAgain tells when a sweep that proved nothing is made again: the longer
// it goes on, the later, but never later than it would be due anyway.
func (s *Sensor) sweepAgain(p *pass) time.Time {
	const steps = 16 // 30 s doubled so often is more than any Every
	wait := retryAfter << min(s.failed[p.id], steps)
	s.failed[p.id]++
	return s.now().Add(min(wait, p.sweep.Every))
}
