package sensor

import (
	"context"
	"net/netip"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
	"sonde/probes/session"
)

// A flight is a visit under way, or one whose result waits to be stored.
type flight struct {
	key   event.Key
	watch *Watch
	debt  *debt // what it pays, or nil
	// waiting is the people who wait for it.
	waiting []chan<- probes.Observation
	cancel  func(reason error)

	recalled bool                // to be made anew with more care
	taken    bool                // it has called back, and …
	seen     *probes.Observation // … said this
}

// A debt is a visit that sweeps wait for: they came upon the endpoint, and are
// not complete before it was visited. Only a visit that begins later pays it.
// For what a round came upon nothing waits.
type debt struct {
	parts []*part
	reply capture.Reply // the latest that was seen of it
	lost  int           // visits that met silence or a refusal
}

// A find that meets silence or a refusal when it is visited is visited again:
// findTries times in all, findAgain apart. It answered a moment ago, so that a
// loss is likelier than its end, and so is a server that takes one client at a
// time and closes its port meanwhile.
const (
	findTries = 3
	findAgain = 10 * time.Second
)

// startVisit begins to ask one endpoint, or puts that off while its host is
// left alone.
func (s *Sensor) startVisit(e schedule.Entry) {
	w, k := s.watches[e.Watch], e.ID.Key
	if from := s.rested(hostOf(k)); !from.IsZero() {
		s.queue.Done(e.ID, s.now())
		e.Due = from
		s.queue.Put(e, s.now())
		return
	}
	ep := probes.Endpoint{Addr: k.Addr, Port: k.Port, Transport: k.Transport}
	if w.Names != nil {
		ep.Names = w.Names(k.Addr)
	}
	before, _ := s.known.get(k)
	f := &flight{key: k, watch: w, debt: s.owed[k], waiting: s.waiting[k]}
	recall := before.recall(s.now())
	if s.climbs(k, &before) {
		recall = session.Remembered{}
	}
	recall.Heard = f.debt.heard(s.now())
	delete(s.owed, k)
	delete(s.waiting, k)
	s.air[f] = struct{}{}
	s.flying++
	f.cancel = s.visitorOf(w, hostOf(k)).Begin(ep, recall, func(o probes.Observation) {
		f.seen = &o
		s.results <- f
	})
}

// take takes a visit that has called back.
func (s *Sensor) take(f *flight) {
	s.flying--
	f.taken = true
	if s.askAnew(f) {
		return
	}
	if f.seen.Outcome == probes.OutcomeHeld {
		s.lookOnly(f)
		return
	}
	s.land(f)
}

// land puts the result of a visit into the batch.
func (s *Sensor) land(f *flight) {
	delete(s.air, f)
	if s.tryFindAgain(f) {
		return
	}
	if f.debt != nil && !conclusive(f.seen) {
		// It was open a moment ago. Were that dropped, the sweep would
		// prove it absent, and the next one would call it new.
		f.seen.State, f.seen.Reason = probes.Open, f.debt.reply.Reason
	}
	if s.cfg.Fingerprint != nil {
		f.seen.Fingerprint = s.cfg.Fingerprint(f.seen)
	}
	f.seen.Answers = nil // up to 900 bytes each, and of no more use
	s.batch = append(s.batch, f)
}

// tryFindAgain puts a find back that was not reached. In the end nothing is known of
// it, and its sweeps prove nothing of its host.
func (s *Sensor) tryFindAgain(f *flight) bool {
	d := f.debt
	lost := f.seen.Outcome == probes.OutcomeSilent || f.seen.Outcome == probes.OutcomeRefused
	if d == nil || !lost || f.key.Transport != probes.TCP || f.seen.State == probes.Open {
		return false
	}
	if d.lost++; d.lost < findTries {
		s.putBack(f, s.now().Add(findAgain))
		return true
	}
	for _, of := range d.parts {
		of.pass.leaveOut(f.key.Addr)
	}
	return false
}

// landAll takes what was ready when the loop ended, and ends all other visits.
// A result that was cut short is not a result.
func (s *Sensor) landAll(reason error) {
	for ready := true; ready; {
		select {
		case f := <-s.results:
			s.take(f)
		default:
			ready = false
		}
	}
	for f := range s.air {
		f.cancel(reason)
	}
	for ; s.flying > 0; s.flying-- {
		<-s.results
	}
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
func (s *Sensor) lookOnly(f *flight) {
	target := capture.Target{Network: string(f.key.Transport), Addr: netip.AddrPortFrom(f.key.Addr, f.key.Port)}
	s.look(&look{looker: f.watch.Looker, watch: f.watch.Name, targets: []capture.Target{target}, over: func(l *look) {
		if l.err != nil {
			f.seen.Errors = append(f.seen.Errors, l.err.Error())
		}
		if len(l.replies) > 0 {
			asLooked(f.seen, &l.replies[0])
		}
		s.land(f)
	}})
}

// asLooked makes what discovery saw the result of a visit.
func asLooked(o *probes.Observation, r *capture.Reply) {
	o.Reason, o.At = r.Reason, r.At
	switch r.Kind {
	case capture.Accepted, capture.Answered:
		o.State = probes.Open
	case capture.Refused:
		o.State, o.Outcome = probes.Closed, probes.OutcomeRefused
	case capture.Silent:
		o.Outcome = probes.OutcomeSilent
	case capture.Unreachable:
		o.Outcome = probes.OutcomeUnreachable
	}
}

func methodOf(w *Watch, t probes.Transport) string {
	for i := range w.Sweeps {
		if w.Sweeps[i].Transport == t {
			return w.Sweeps[i].Pass.Method
		}
	}
	return ""
}

// store applies the batch, and schedules what follows from it.
func (s *Sensor) store(ctx context.Context) {
	batch := s.batch
	s.batch = nil
	if len(batch) == 0 {
		return
	}
	visits, crowds := make([]inventory.Visit, len(batch)), s.crowds()
	for i, f := range batch {
		visits[i] = s.visitOf(f, crowds)
	}
	after, err := s.cfg.Inventory.Apply(ctx, visits)
	if err != nil {
		s.cfg.Log.Error("visits not stored, they are made again",
			"visits", len(batch), "in", retryAfter, "err", err)
		for _, f := range batch {
			s.putBack(f, s.now().Add(retryAfter))
		}
		return
	}
	for i, f := range batch {
		s.queue.Done(schedule.ID{Key: f.key}, s.now())
		s.learn(&visits[i], after[i])
		s.outcomes[f.seen.Outcome]++
		s.suspect(ctx, &visits[i])
		s.doubt(&visits[i], after[i].Also)
		for _, got := range f.waiting {
			got <- visits[i].Observation // it has room
		}
		if f.seen.Transport == probes.TCP && isNew(after[i]) && mute(f.seen) {
			s.lookAround(f.key, f.watch)
		}
		if f.debt == nil {
			continue
		}
		for _, of := range f.debt.parts {
			s.paid(ctx, of)
		}
	}
}

// putBack schedules a visit that has no result. Its debt is open again.
func (s *Sensor) putBack(f *flight, due time.Time) {
	key := f.key
	id := schedule.ID{Key: key}
	kind := schedule.Verify
	if d := f.debt; d != nil {
		kind = schedule.Sighted
		if later := s.owed[key]; later != nil {
			d.parts, d.reply, d.lost = append(d.parts, later.parts...), later.reply, 0
		}
		s.owed[key] = d
	}
	if len(f.waiting) > 0 {
		s.waiting[key] = append(s.waiting[key], f.waiting...)
		kind = schedule.Manual
	}
	s.queue.Done(id, s.now())
	s.queue.Put(schedule.Entry{ID: id, Watch: f.watch.Name, Kind: kind, Due: due}, s.now())
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
