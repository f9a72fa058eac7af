package sensor

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
)

// A flight is a visit under way, or one whose result waits to be stored.
type flight struct {
	visit inventory.Visit
	debt  *debt // what it pays, or nil
}

// A debt is a visit that sweeps wait for: they came upon the endpoint, and are
// not complete before it was visited. Only a visit that begins later pays it.
type debt struct {
	passes []*pass
	reply  capture.Reply // the latest that was seen of it
}

// startVisit asks one endpoint, or puts that off while its host is left alone.
// A result that ctx cut short is not a result.
func (s *Sensor) startVisit(ctx context.Context, e schedule.Entry) {
	w, k := s.watches[e.Watch], e.ID.Key
	if from := s.rested(hostOf(k)); !from.IsZero() {
		s.visits.Done(e.ID)
		e.Due = from
		s.visits.Put(e)
		return
	}
	ep := probes.Endpoint{Addr: k.Addr, Port: k.Port, Transport: k.Transport}
	if w.Names != nil {
		ep.Names = w.Names(k.Addr)
	}
	before := s.known[k]
	remembered := before.recall(s.cfg.Now())
	debt := s.owed[k]
	delete(s.owed, k)
	f := &flight{debt: debt, visit: inventory.Visit{Key: k, Watch: w.Name,
		Method: methodOf(w, k.Transport), Found: debt != nil}}
	s.underWay++
	s.running.Go(func() {
		obs := w.Visitor.Visit(ctx, ep, remembered)
		if obs.Outcome == probes.OutcomeHeld {
			obs = lookOnly(ctx, w.Looker, ep, obs)
		}
		if ctx.Err() != nil {
			return
		}
		if debt != nil && !conclusive(&obs) {
			// It was open a moment ago. Were that dropped, the sweep would
			// prove it absent, and the next one would call it new.
			obs.State, obs.Reason = probes.Open, debt.reply.Reason
		}
		f.visit.Observation, f.visit.At = obs, obs.At
		s.results <- f
	})
}

// conclusive tells whether the visit itself says if something is there. A UDP
// service that just answered a sweep and now is silent is there.
func conclusive(o *probes.Observation) bool {
	switch o.Outcome {
	case probes.OutcomeAnswered, probes.OutcomeTCPWrapped, probes.OutcomeRefused:
		return true
	case probes.OutcomeSilent:
		return o.Transport == probes.TCP
	default:
		return o.State == probes.Open
	}
}

// lookOnly tries an endpoint to which nothing may be said, as discovery does,
// so that its coming and going is still seen.
func lookOnly(ctx context.Context, looker Looker, ep probes.Endpoint, obs probes.Observation) probes.Observation {
	target := capture.Target{Network: string(ep.Transport), Addr: netip.AddrPortFrom(ep.Addr, ep.Port)}
	_, err := looker.Look(ctx, slices.Values([]capture.Target{target}), func(r capture.Reply) {
		obs.Reason, obs.At = r.Reason, r.At
		switch r.Kind {
		case capture.Accepted, capture.Answered:
			obs.State = probes.Open
		case capture.Refused:
			obs.State, obs.Outcome = probes.Closed, probes.OutcomeRefused
		case capture.Silent:
			obs.Outcome = probes.OutcomeSilent
		case capture.Unreachable:
			obs.Outcome = probes.OutcomeUnreachable
		}
	})
	if err != nil {
		obs.Errors = append(obs.Errors, err.Error())
	}
	return obs
}

func methodOf(w *Watch, t probes.Transport) string {
	for i := range w.Sweeps {
		if w.Sweeps[i].Transport == t {
			return w.Sweeps[i].Pass.Method
		}
	}
	return ""
}

// take notes that a visit has ended.
func (s *Sensor) take(f *flight) {
	s.underWay--
	s.batch = append(s.batch, f)
}

// collect takes the results that were ready when the loop ended.
func (s *Sensor) collect() {
	for {
		select {
		case f := <-s.results:
			s.take(f)
		default:
			return
		}
	}
}

// store applies the batch, and schedules what follows from it. It writes with
// the context durable.
func (s *Sensor) store(ctx, durable context.Context) {
	batch := s.batch
	s.batch = nil
	if len(batch) == 0 {
		return
	}
	visits := make([]inventory.Visit, len(batch))
	for i, f := range batch {
		visits[i] = f.visit
	}
	after, err := s.cfg.Inventory.Apply(durable, visits)
	if err != nil {
		s.cfg.Log.Error("visits not stored, they are made again",
			"visits", len(batch), "in", retryAfter, "err", err)
		for _, f := range batch {
			s.again(f)
		}
		return
	}
	for i, f := range batch {
		s.visits.Done(schedule.ID{Key: f.visit.Key})
		s.learn(&f.visit, after[i])
		s.outcomes[f.visit.Observation.Outcome]++
		s.suspect(ctx, durable, &f.visit)
		if f.debt == nil {
			continue
		}
		for _, p := range f.debt.passes {
			p.owed--
			s.complete(durable, p)
		}
	}
}

// again schedules a visit whose result was not stored. Its debt is open again.
func (s *Sensor) again(f *flight) {
	key := f.visit.Key
	id := schedule.ID{Key: key}
	kind := schedule.Verify
	if d := f.debt; d != nil {
		kind = schedule.Sighted
		if later := s.owed[key]; later != nil {
			d.passes, d.reply = append(d.passes, later.passes...), later.reply
		}
		s.owed[key] = d
	}
	s.visits.Done(id)
	s.visits.Put(schedule.Entry{ID: id, Watch: f.visit.Watch, Kind: kind,
		Due: s.cfg.Now().Add(retryAfter)})
}

// ticker is a time.Ticker that may be none.
type ticker struct {
	c <-chan time.Time
	t *time.Ticker
}

func newTicker(every time.Duration) ticker {
	if every <= 0 {
		return ticker{}
	}
	t := time.NewTicker(every)
	return ticker{t.C, t}
}

func (t ticker) stop() {
	if t.t != nil {
		t.t.Stop()
	}
}
