package sensor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
)

// waits is the number of visits that people may wait for at once: they go ahead
// of all others.
const waits = 16

// Errors of what people ask for.
var (
	ErrNotRunning = errors.New("the sensor does not run")
	ErrOutOfScope = errors.New("no watch asks this endpoint")
	ErrTooMany    = errors.New("too many wait for a visit already; try again in a minute")
	ErrShut       = errors.New("nothing may be sent for the watch now")
	ErrResting    = errors.New("the host is left alone; release it first")
	ErrNotResting = errors.New("the host is not left alone")
)

// do has the loop call f and waits for that.
func (s *Sensor) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case s.asks <- func() { f(); close(done) }:
	case <-s.ended:
		return ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-s.ended:
		return ErrNotRunning
	}
}

// Obey returns once the loop has come round, and so obeys what operators ordered
// before. Any goroutine may call it.
func (s *Sensor) Obey(ctx context.Context) error {
	for range 2 { // orders are looked at after what is asked
		if err := s.do(ctx, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// watchOf gives the watch that asks an endpoint, or nil.
func (s *Sensor) watchOf(k event.Key) *Watch {
	for _, w := range s.watches {
		if w.Zone == k.Zone && w.Contains(k.Addr, k.Transport, k.Port) {
			return w
		}
	}
	return nil
}

// retake makes what is known of a host due now.
func (s *Sensor) retake(h hostID) {
	now := s.now()
	for key, k := range s.known.services(h) {
		s.queue.Put(schedule.Entry{ID: schedule.ID{Key: key}, Watch: k.watch, Kind: schedule.Verify,
			Due: now, Late: now}, now)
	}
}

// Verify visits an endpoint now, ahead of all else, and gives what was seen once
// that is stored. It fails with one of the errors above where that is not to
// be, with ErrNotRunning when the sensor ends before. Any goroutine may call it.
func (s *Sensor) Verify(ctx context.Context, k event.Key) (probes.Observation, error) {
	k.Addr = k.Addr.Unmap()
	got := make(chan probes.Observation, 1)
	var refused error
	if err := s.do(ctx, func() { refused = s.verify(k, got) }); err != nil {
		return probes.Observation{}, err
	}
	if refused != nil {
		return probes.Observation{}, fmt.Errorf("verify %s: %w", k, refused)
	}
	select {
	case o := <-got:
		return o, nil
	case <-s.ended:
		return probes.Observation{}, ErrNotRunning
	case <-ctx.Done():
		return probes.Observation{}, ctx.Err()
	}
}

func (s *Sensor) verify(k event.Key, got chan<- probes.Observation) error {
	w := s.watchOf(k)
	if w == nil {
		return ErrOutOfScope
	}
	if why := s.admitted[w.Name].shut; why != "" {
		return fmt.Errorf("%w: %s", ErrShut, why)
	}
	if from := s.rested(hostOf(k)); !from.IsZero() {
		return fmt.Errorf("%w, or wait until %s", ErrResting, s.clock.WallAt(from).UTC().Format(time.RFC3339))
	}
	if s.waited() >= waits {
		return ErrTooMany
	}
	s.waiting[k] = append(s.waiting[k], got)
	now := s.now()
	s.queue.Put(schedule.Entry{ID: schedule.ID{Key: k}, Watch: w.Name, Kind: schedule.Manual, Due: now}, now)
	return nil
}

// waited counts who waits for a visit.
func (s *Sensor) waited() (n int) {
	for _, list := range s.waiting {
		n += len(list)
	}
	for f := range s.air {
		n += len(f.waiting)
	}
	return n
}

// Release has a host asked again that is left alone after it fell silent. It
// holds over a restart. Any goroutine may call it.
func (s *Sensor) Release(ctx context.Context, h event.Host) error {
	h.Addr = h.Addr.Unmap()
	released := false
	err := s.do(ctx, func() {
		id := hostID{h.Zone, h.Addr}
		q, ok := s.resting[id]
		if !ok || !s.now().Before(q.until) {
			return
		}
		q.until, released = s.now(), true
		s.resting[id] = q
		s.reconsider(id)
		s.retake(id)
	})
	switch {
	case err != nil:
		return fmt.Errorf("release %s: %w", h, err)
	case !released:
		return fmt.Errorf("release %s: %w", h, ErrNotResting)
	case s.cfg.Orders == nil:
		return nil
	}
	return s.cfg.Orders.Release(ctx, h, s.cfg.Quarantine)
}

// A Plan is when an endpoint is asked next.
type Plan struct {
	Watch string
	Due   time.Time // by the wall clock as it is set now; zero: it is being asked, or is not planned
	Kind  schedule.Kind
	Every time.Duration // its promise, slowed where it is; 0 for what is not known to be there
	Shut  string        // why nothing is sent for the watch now: "active_hours" or "paused"

	Careful bool      // its host is asked with care
	Rests   time.Time // its host is left alone until then; zero: it is not
}

// Next tells when an endpoint is asked next. Any goroutine may call it.
func (s *Sensor) Next(ctx context.Context, k event.Key) (Plan, error) {
	k.Addr = k.Addr.Unmap()
	var p Plan
	err := s.do(ctx, func() {
		if w := s.watchOf(k); w != nil {
			p.Watch, p.Shut = w.Name, s.admitted[w.Name].shut
		}
		if e, ok := s.queue.Find(schedule.ID{Key: k}); ok {
			p.Due, p.Kind = s.clock.WallAt(e.Due), e.Kind
		}
		p.Careful = len(s.fragile[hostOf(k)]) > 0
		if from := s.rested(hostOf(k)); !from.IsZero() {
			p.Rests = s.clock.WallAt(from)
		}
		if known, ok := s.known.get(k); ok {
			p.Every = s.everyOf(k, &known)
		}
	})
	return p, err
}
