package sweep

import (
	"context"
	"slices"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
)

// pick gives the probe whose turn it is: what waited for its host comes first,
// then what was asked before, then the next of the plan. It is false if there
// is nothing to send now, and s.wake says when there will be.
func (s *sender) pick(ctx context.Context) (probe, bool, error) {
	if p, ok := s.unpark(); ok {
		return p, true, nil
	}
	for !s.park.full() {
		if s.again == nil && !s.due.After(s.now) {
			if err := s.review(ctx); err != nil {
				return probe{}, false, err
			}
		}
		c := s.again
		if c != nil && !s.mayRetry() {
			c = nil
		}
		if c == nil {
			c = s.freshChunk()
		}
		if c == nil {
			break
		}
		if p, ok := s.walk(c); ok {
			return p, true, nil
		}
	}
	if s.again == nil { // else others that are due wait for it
		s.wakeAt(s.due)
	}
	return probe{}, false, nil
}

func (s *sender) wakeAt(t time.Time) {
	if t.Before(s.wake) {
		s.wake = t
	}
}

// mayRetry takes one packet of the retries' own budget, if there is one.
func (s *sender) mayRetry() bool {
	if s.retries == nil {
		return true
	}
	wait := s.retries.try()
	if wait > 0 {
		s.wakeAt(s.now.Add(wait))
	}
	return wait == 0
}

// unpark gives a target whose host may be sent its next packet.
func (s *sender) unpark() (probe, bool) {
	for {
		h := s.park.first()
		if h == nil {
			return probe{}, false
		}
		if h.ready.After(s.now) {
			s.wakeAt(h.ready)
			return probe{}, false
		}
		if t := h.next(); s.plan.Skip != nil && s.plan.Skip(h.addr) {
			s.in.drop(t)
		} else if !t.c.isDone(t.i) {
			if wait := s.cfg().Hosts.Take(h.addr.As16()); wait > 0 {
				s.park.postpone(s.now.Add(wait))
				continue
			}
			t = s.park.pop(s.now)
			a, port, _ := s.order.At(t.position())
			return probe{t, a, port}, true
		}
		s.park.pop(s.now)
	}
}

// walk gives the next probe of a chunk's round. It is false if the round is
// over, or has nothing that may be sent now.
func (s *sender) walk(c *chunk) (probe, bool) {
	for !s.park.full() {
		i := c.seek(c.next)
		if i == c.n {
			c.next = c.n
			s.finishWalk(c)
			return probe{}, false
		}
		c.next = i + 1
		a, port, _ := s.order.At(c.first + uint64(i))
		t := target{c, i}
		if s.plan.Skip != nil && s.plan.Skip(a) {
			s.in.drop(t)
			if c.round+c.repeats > 0 {
				continue // it was asked before, and counts as silent
			}
			s.asked.Add(^uint64(0))
			continue
		}
		if s.proto == frame.ProtoUDP && c.round >= s.cfg().Tries*len(s.bodies[port]) {
			continue // the other ports have more to ask
		}
		if hosts := s.cfg().Hosts; hosts != nil {
			if s.park.busy(a) {
				s.park.put(a, t, s.now)
				continue
			}
			if wait := hosts.Take(a.As16()); wait > 0 {
				s.park.put(a, t, s.now.Add(wait))
				continue
			}
		}
		return probe{t, a, port}, true
	}
	return probe{}, false
}

// finishWalk notes that all of a chunk's round is on its way.
func (s *sender) finishWalk(c *chunk) {
	s.turn().Begin() // a plan of which nothing may be asked has many
	c.due = never
	s.walked = append(s.walked, c)
	switch c {
	case s.again:
		s.again = nil
	case s.fresh:
		s.fresh = nil
	}
}

// freshChunk gives the chunk in its first round, and opens the next one if
// there is none.
func (s *sender) freshChunk() *chunk {
	if s.fresh != nil || s.next >= s.n {
		return s.fresh
	}
	n := min(s.win.size, s.n-s.next)
	c := newChunk(s.next, int(n))
	slot := s.win.slot(s.next)
	if slot.Load() != nil {
		return nil // openMost are open; the oldest will be done
	}
	c.due, c.began, c.lossMark = never, s.now, s.losses()
	for i := c.n; i < 64*len(c.done); i++ {
		c.done[i/64].Store(c.done[i/64].Load() | 1<<(i%64)) // beyond the end
	}
	slot.Store(c)
	s.asked.Add(n)
	s.next += n
	s.fresh = c
	s.open = append(s.open, c)
	return c
}

// review looks at the chunks whose answers had their time: one that has more
// rounds to go becomes s.again, others are closed.
func (s *sender) review(ctx context.Context) error {
	s.due = never
	for i := 0; i < len(s.open); {
		c := s.open[i]
		if s.again != nil || c.due.After(s.now) {
			if c.due.Before(s.due) {
				s.due = c.due
			}
			i++
			continue
		}
		more, err := s.goesOn(ctx, c)
		if err != nil {
			return err
		}
		if more {
			c.next, c.due, c.began = 0, never, s.now
			s.again = c
			i++
			continue
		}
		s.close(i)
	}
	return nil
}

// goesOn says whether a chunk has another round to go.
func (s *sender) goesOn(ctx context.Context, c *chunk) (bool, error) {
	if c.allDone() {
		return false, nil
	}
	if err := s.verify(ctx, c.began); err != nil {
		return false, err
	}
	losses := s.losses()
	lossy := losses != c.lossMark
	c.lossMark = losses
	if lossy && c.repeats < repeatMost {
		c.repeats++
		s.repeated.Add(1)
		s.run.s.count.repeated.Add(1)
		return true, nil
	}
	c.round++
	last := c.round >= s.rounds()
	if lossy && (last || s.plan.Network == capture.UDP) {
		s.degraded.Store(true)
	}
	return !last, nil
}

// losses is how often answers to this run may have been lost.
func (s *sender) losses() uint64 { return s.run.s.losses() + s.in.losses() }

// close ends the chunk at place i of s.open. What it has not been told stays
// silent.
func (s *sender) close(i int) {
	c := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	oldest := s.next
	if len(s.open) > 0 {
		oldest = s.open[0].first
	}
	s.in.retire(&s.win, c, i == 0, oldest)
}

// try takes one packet if it may be sent now, and else says when.
func (r *Rate) try() (wait time.Duration) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.next
	if full := now.Add(-time.Duration(r.burst) * r.interval); next.Before(full) {
		next = full
	}
	if next = next.Add(r.interval); next.After(now) {
		return next.Sub(now)
	}
	r.next = next
	return 0
}
