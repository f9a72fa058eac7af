package sweep

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// repeatMost is how often a chunk's rounds are sent again because answers may
// have been lost. If it still goes on, the sweep is degraded.
const repeatMost = 3

// A sender is the sending side of a run, in one goroutine.
type sender struct {
	*run
	now  time.Time
	wake time.Time // when there is something to do, if there is nothing now

	open    []*chunk // ascending
	next    uint64   // position of the first target that is in no chunk yet
	fresh   *chunk   // in its first round
	again   *chunk   // in a later one
	walked  []*chunk // rounds that are sent but for what is parked or in a batch
	due     time.Time
	park    park
	retries *Rate // nil without a bound

	ways    ways
	hop     route.Hop // of the probe that is being sent
	batches []*batch  // that are being filled, of an outlet each
	out     *emitters

	// lost says since when what stands in the way of sending does: a router
	// that is not there, an interface that is down.
	lost    map[string]time.Time
	changed time.Time // when the routes changed last
}

func newSender(r *run) *sender {
	s := &sender{run: r, next: r.win.from, due: never, lost: map[string]time.Time{},
		out: newEmitters(r)}
	if n := r.s.cfg.RetriesPerSecond; n > 0 {
		s.retries = NewRate(n)
	}
	return s
}

// loop sends until all is answered or was asked often enough.
func (s *sender) loop(ctx context.Context) error {
	s.out.start(ctx, s.run)
	defer s.out.stop()
	defer s.turn().End()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		busy, err := s.round(ctx)
		if err != nil {
			return err
		}
		if s.next >= s.n && len(s.open) == 0 {
			return nil
		}
		if busy {
			continue
		}
		if err := s.await(ctx); err != nil {
			return err
		}
	}
}

// await waits until there is something to do.
func (s *sender) await(ctx context.Context) error {
	s.turn().End()
	t := time.NewTimer(time.Until(s.wake))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.in.over:
		s.hasten()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// hasten lets chunks that have no more answers to come wait no longer.
func (s *sender) hasten() {
	for _, c := range s.open {
		if c.due != never && c.allDone() {
			c.due, s.due = s.now, s.now
		}
	}
}

// round fills the batches once and sends them. It is false if there was
// nothing to send.
func (s *sender) round(ctx context.Context) (busy bool, err error) {
	s.turn().Begin()
	s.now, s.wake = time.Now(), never
	select {
	case <-s.in.over:
		s.hasten()
	default:
	}
	for !s.batched() {
		p, ok, err := s.pick(ctx)
		if err != nil {
			return false, err
		}
		if !ok {
			break
		}
		if err := s.put(ctx, p); err != nil {
			return false, err
		}
	}
	busy, err = s.flush(ctx)
	if err != nil {
		return false, err
	}
	rests, err := s.rest(ctx)
	return rests || busy, err
}

// batched says whether a batch is full.
func (s *sender) batched() bool {
	for _, b := range s.batches {
		if b.full() {
			return true
		}
	}
	return false
}

// rest lets the chunks whose rounds are sent wait for their answers. It is
// true if there is one.
func (s *sender) rest(ctx context.Context) (rests bool, err error) {
	if slices.ContainsFunc(s.walked, sent) {
		if err := s.drain(ctx); err != nil {
			return false, err
		}
	}
	kept := s.walked[:0]
	for _, c := range s.walked {
		if !sent(c) {
			kept = append(kept, c)
			continue
		}
		c.due = time.Now()
		if !c.allDone() {
			c.due = c.due.Add(s.cfg().RetryAfter)
		}
		if c.due.Before(s.due) {
			s.due = c.due
		}
		rests = true
	}
	clear(s.walked[len(kept):])
	s.walked = kept
	return rests, nil
}

// sent says whether all of a chunk's round was sent, or handed over.
func sent(c *chunk) bool { return c.parked == 0 }

// turn is the sender's own: begun while it works, ended while it waits for time,
// for neighbours or for whom it tells.
func (s *sender) turn() *link.Turn { return &s.run.turns[0] }

func (s *sender) cfg() *Config { return &s.run.s.cfg }

// A probe is a target whose turn it is.
type probe struct {
	target
	addr netip.Addr
	port uint16
}

// put builds the packet of a probe into the batch of its outlet. What cannot be
// asked is told.
func (s *sender) put(ctx context.Context, p probe) error {
	for {
		w, err := s.way(ctx, &p)
		switch {
		case err == nil:
			return s.build(w, &p)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errSilentNeighbor):
			reason := "no-arp-response"
			if p.addr.Is6() {
				reason = "no-nd-response"
			}
			s.tell(&p, reason)
			return nil
		case errors.Is(err, link.ErrNoPermission), errors.Is(err, link.ErrUnsupported):
			return err
		}
		again := false
		if s.passes(err) {
			var failed error
			if again, failed = s.trouble(ctx, plain(err)); failed != nil {
				return failed
			}
		}
		if !again {
			s.tell(&p, notTried+": "+plain(err))
			return nil
		}
	}
}

// tell ends a target that cannot be asked.
func (s *sender) tell(p *probe, reason string) {
	s.turn().End() // whoever is told may take his time
	defer s.turn().Begin()
	s.in.settle(p.target, &capture.Reply{Addr: netip.AddrPortFrom(p.addr, p.port),
		Network: s.plan.Network, Kind: capture.Unreachable, Reason: reason, At: time.Now()})
}

// plain gives the innermost error's words, but the whole of an error that
// names a router.
func plain(err error) string {
	for !errors.Is(err, errNoRouter) {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	return err.Error()
}

// build adds one packet.
func (s *sender) build(w *way, p *probe) error {
	b := s.batchOf(w.out)
	c := s.run.s.judge.secret.cookie(p.addr, p.port, s.proto)
	var n int
	if s.proto == frame.ProtoTCP {
		n = w.syn.Put(b.room(), &w.path, p.addr, s.run.s.judge.source(c), p.port, c.seq(), 0, c.id())
	} else {
		bodies := s.bodies[p.port]
		k := p.c.round % len(bodies)
		t, err := w.datagram(bodies[k])
		if err != nil {
			s.tell(p, notTried+": "+plain(err))
			return nil
		}
		n = t.Put(b.roomFor(t.Len(w.path.Medium)), &w.path, p.addr,
			s.run.s.judge.sourceOf(c, k), p.port, c.id()+uint16(k))
	}
	if n == 0 {
		s.tell(p, notTried+": no source address of that version of IP")
		return nil
	}
	b.add(n)
	return nil
}

// passes says whether an error of the way may pass by itself. That there is no
// route may be the consequence of an interface that is coming back.
func (s *sender) passes(err error) bool {
	switch {
	case errors.Is(err, link.ErrDown), errors.Is(err, route.ErrDown), errors.Is(err, errNoRouter),
		errors.Is(err, net.ErrClosed), errors.Is(err, route.ErrNoInterface):
		return true
	case errors.Is(err, route.ErrNoRoute), errors.Is(err, route.ErrUnreachable), errors.Is(err, route.ErrNoSource):
		return time.Since(s.changed) < s.cfg().Patience
	}
	return false
}

// trouble is told what stands in the way of sending. It waits a moment for a
// change, and says whether to try again: not if it went on for longer than the
// patience.
func (s *sender) trouble(ctx context.Context, what string) (again bool, err error) {
	now := time.Now()
	since, known := s.lost[what]
	if !known {
		since, s.lost[what] = now, now
		s.cfg().Log.Debug("discovery waits", "for", what)
	}
	if now.Sub(since) >= s.cfg().Patience {
		return false, nil
	}
	if err := s.awaitChange(ctx); err != nil {
		return false, err
	}
	return true, nil
}

// awaitChange waits for news of the routes, or for troublePause.
func (s *sender) awaitChange(ctx context.Context) error {
	s.turn().End()
	defer s.turn().Begin()
	changes, stop := s.cfg().Routes.Watch()
	defer stop()
	t := time.NewTimer(troublePause)
	defer t.Stop()
	select {
	case <-changes:
		// What comes with it, an address or a neighbour, takes a moment more.
		return sleep(ctx, settlePause)
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	troublePause = 500 * time.Millisecond
	settlePause  = 20 * time.Millisecond
)
