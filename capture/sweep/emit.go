package sweep

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"sonde/capture/link"
)

// emittersMost is how many goroutines send what the sender of one sweep builds.
// The kernel carries a packet through its own stack, and on virtual links the
// answer too, within the system call that sends it, which takes many times as
// long as building it: with one emitter that call is still what all waits for.
// A third would take the CPU time that the receiver needs on a small machine.
const emittersMost = 2

// emitters send batches while the sender builds the next ones. In which order
// they leave does not matter to a sweep. The fields are the sender's.
type emitters struct {
	n      int         // goroutines; without any the sender sends by itself
	most   int         // packets of a batch
	work   chan *batch // to them
	back   chan *batch // from them; has room for all that are under way
	flying int         // batches that are, n + 1 at most
	free   []*batch    // that hold nothing
	tasks  sync.WaitGroup
}

// newEmitters makes as many as are of use: none on a single CPU, and none where
// a full batch of each would be more than half of what the budget lets go at
// once, as that may come late to its time.
func newEmitters(r *run) *emitters {
	pace := r.s.cfg.Pace
	e := &emitters{most: batchSize(pace)}
	if runtime.GOMAXPROCS(0) > 1 && pace.Burst() >= 2*emittersMost*batchMost {
		e.n = emittersMost
	}
	e.work, e.back = make(chan *batch, e.n+1), make(chan *batch, e.n+1)
	return e
}

// start starts the goroutines, which end with stop.
func (e *emitters) start(ctx context.Context, r *run) {
	for i := range e.n {
		turn := &r.turns[1+i]
		e.tasks.Go(func() {
			for b := range e.work {
				b.leave(ctx, r, turn)
				turn.End()
				e.back <- b
			}
		})
	}
}

// stop waits for what is on its way and ends the goroutines.
func (e *emitters) stop() {
	close(e.work)
	e.tasks.Wait()
}

// batchOf gives the batch that is being filled for an outlet.
func (s *sender) batchOf(o *outlet) *batch {
	for _, b := range s.batches {
		if b.out == o {
			return b
		}
	}
	var b *batch
	if n := len(s.out.free); n > 0 {
		b = s.out.free[n-1]
		s.out.free = s.out.free[:n-1]
	} else {
		b = newBatch(s.out.most)
	}
	b.out = o
	s.batches = append(s.batches, b)
	return b
}

// flush has what was built sent.
func (s *sender) flush(ctx context.Context) (sent bool, err error) {
	for len(s.batches) > 0 {
		last := len(s.batches) - 1
		b := s.batches[last]
		s.batches = s.batches[:last]
		sent = true
		if s.out.n == 0 {
			b.leave(ctx, s.run, s.turn())
			err = s.landed(ctx, b)
		} else {
			err = s.hand(ctx, b)
		}
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// hand gives a batch to the emitters.
func (s *sender) hand(ctx context.Context, b *batch) error {
	for s.out.flying > s.out.n {
		if err := s.land(ctx); err != nil {
			return err
		}
	}
	s.out.flying++
	s.out.work <- b
	return nil
}

// land waits for a batch to come back.
func (s *sender) land(ctx context.Context) error {
	s.turn().End() // the emitters have theirs
	b := <-s.out.back
	s.turn().Begin()
	s.out.flying--
	return s.landed(ctx, b)
}

// drain waits until all that was handed over has left.
func (s *sender) drain(ctx context.Context) error {
	for s.out.flying > 0 {
		if err := s.land(ctx); err != nil {
			return err
		}
	}
	return nil
}

// landed takes a batch that has left. What is lost with an interface is noted,
// so that its round is sent again.
func (s *sender) landed(ctx context.Context, b *batch) error {
	o, err := b.out, b.err
	b.clear()
	s.out.free = append(s.out.free, b)
	switch {
	case err == nil:
		if len(s.lost) > 0 {
			delete(s.lost, o.hop.Link.Name)
		}
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	s.run.s.disturbed.Add(1)
	s.changed = time.Now()
	_, err = s.trouble(ctx, o.hop.Link.Name)
	return err
}

// busyPause lies between tries of an interface that takes no more.
const busyPause = 10 * time.Millisecond

// leave sends the batch when the budget allows it, and keeps the error that
// kept some of it from leaving. The turn is that of the loop that it runs in.
func (b *batch) leave(ctx context.Context, r *run, turn *link.Turn) {
	turn.Begin()
	b.err = idle(ctx, turn, r.s.cfg.Pace.Take(len(b.frames)))
	for left := b.frames; b.err == nil && len(left) > 0; {
		var n int
		n, b.err = b.out.send(left)
		r.tries.Add(uint64(n))
		r.s.count.sent.Add(uint64(n))
		if left = left[n:]; errors.Is(b.err, link.ErrBusy) {
			b.err = idle(ctx, turn, busyPause)
		}
	}
}

// idle is sleep for a loop that does not hang meanwhile.
func idle(ctx context.Context, turn *link.Turn, d time.Duration) error {
	turn.End()
	defer turn.Begin()
	return sleep(ctx, d)
}
