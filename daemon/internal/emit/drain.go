package emit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
	"sonde/daemon/internal/task"
)

// Limits of the drain loop.
const (
	// pollEvery is how long an event may lie unnoticed when no wake-up came.
	pollEvery = time.Second
	// backoffMin and backoffMax bound the wait after a failed delivery.
	backoffMin = 250 * time.Millisecond
	backoffMax = 30 * time.Second
	// slowBatch is how long a batch may take before the sink counts as one that
	// may fall behind: a receiver that takes 256 events a second keeps up with
	// any network.
	slowBatch = time.Second
)

// A Drain moves events from the source to one sink until its context ends.
//
// A sink that has failed for DownAfter is told by one sensor.degraded, and by
// one sensor.recovered once it has caught up. A sink that is behind by more
// than MaxBacklog events loses the oldest of them, which sensor.degraded tells
// with their sequence numbers; they stay in the source.
type Drain struct {
	Source Source
	Sink   Sink
	Epoch  int64
	Wake   <-chan struct{} // a send means: there may be new events; may be nil
	Reopen <-chan struct{} // a send means: the destination was moved away; may be nil
	Health *Health         // kept over several Drains of one sink; a new one when nil
	Log    *slog.Logger

	// DownAfter is how long the sink must have failed before that is told; 0
	// means the constant of this name.
	DownAfter time.Duration

	// MaxBacklog is how many events a sink that is down may be behind; 0 means
	// any number.
	MaxBacklog int64

	// Begun is the number of the last event before the sink's first one, where
	// that is known; else 0.
	Begun int64

	// FlushTimeout bounds the last delivery after the context has ended.
	FlushTimeout time.Duration

	cursor  int64
	backoff time.Duration
	turn    task.Turn
}

// A Repeater is a sink that sends again what it delivered last, when it has to
// begin anew: so also after a restart.
type Repeater interface {
	Repeats() int // how many of the last records
	Repeat([]Record)
}

// A Reopener is a sink whose destination may be moved away under it.
type Reopener interface{ Reopen() error }

// Name implements task.Task.
func (d *Drain) Name() string { return "emit " + d.Sink.Name() }

// Run delivers until ctx ends, then delivers what is committed by then, for at
// most FlushTimeout. It returns an error only when the sink cannot resume.
func (d *Drain) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, d.Sink.Close()) }()
	if d.Health == nil {
		d.Health = new(Health)
	}
	if s, ok := d.Sink.(stepper); ok {
		s.tellSteps(d.turn.Begin)
	}
	d.DownAfter = cmp.Or(d.DownAfter, DownAfter)
	// To resume takes moments, and is done even when it is told to stop meanwhile.
	if err := d.resume(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	ready()
	d.backoff = backoffMin
	for ctx.Err() == nil {
		err := d.drain(ctx)
		if ctx.Err() == nil {
			d.sleep(ctx, d.judge(ctx, err))
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.FlushTimeout)
	defer cancel()
	if err := d.drain(last); err != nil {
		d.Log.Warn("last delivery incomplete, it goes on at the next start",
			"sink", d.Sink.Name(), "err", err)
	}
	return nil
}

func (d *Drain) resume(ctx context.Context) error {
	stored, err := d.Source.Cursor(ctx, d.Sink.Name())
	if err != nil {
		return fmt.Errorf("cursor of %s: %w", d.Sink.Name(), err)
	}
	d.cursor, err = d.Sink.Resume(d.Epoch, stored)
	if err != nil {
		return fmt.Errorf("resume %s: %w", d.Sink.Name(), err)
	}
	if d.cursor != stored {
		err = d.advance(ctx, d.cursor)
	}
	return errors.Join(err, d.recall(ctx))
}

// recall hands what was delivered last before a restart to a sink that sends it
// again: the receiver may have died with it.
func (d *Drain) recall(ctx context.Context) error {
	r, ok := d.Sink.(Repeater)
	if !ok || r.Repeats() == 0 {
		return nil
	}
	from := max(d.cursor-int64(r.Repeats()), d.Begun)
	all, err := d.Source.Events(ctx, from, int(max(0, d.cursor-from)))
	if err != nil {
		return fmt.Errorf("what %s had last: %w", d.Sink.Name(), err)
	}
	r.Repeat(slices.DeleteFunc(all, func(e Record) bool { return e.Event.Seq > d.cursor || !d.Sink.Wants(&e.Event) }))
	return nil
}

// Busy is how long the drain has been at one thing, such as a write to a disk or a
// message to a receiver; 0 while it waits for events, or to try again.
func (d *Drain) Busy() time.Duration { return d.turn.Busy() }

// Patience is how long one thing may take though all is well here, as another
// program or machine is slow.
func (d *Drain) Patience() time.Duration {
	if _, other := d.Sink.(stepper); other {
		return 2 * stallTimeout
	}
	return 0
}

// A stepper is a sink whose messages another program takes.
type stepper interface{ tellSteps(onStep func()) }

// steps tells the drain of a sink that a Deliver of many messages, each of which
// another program may take its time for, gets on.
type steps struct{ onStep func() }

func (s *steps) tellSteps(onStep func()) { s.onStep = onStep }

func (s *steps) step() {
	if s.onStep != nil {
		s.onStep()
	}
}

// judge takes note of how a round of deliveries ended, and gives the time to
// wait before the next; 0 for as long as nothing happens.
func (d *Drain) judge(ctx context.Context, err error) time.Duration {
	d.turn.Begin()
	defer d.turn.End()
	if err == nil {
		d.backoff = backoffMin
		d.recovered(ctx)
		return 0
	}
	wait := d.backoff
	d.backoff = min(2*d.backoff, backoffMax)
	d.failed(ctx, err, wait)
	if err := d.bound(ctx); err != nil {
		d.Log.Error("backlog not bounded", "sink", d.Sink.Name(), "err", err)
	}
	return wait
}

// sleep waits for the time or, with 0, for a wake-up, but never longer than
// pollEvery. A destination that was moved away is tried again at once.
func (d *Drain) sleep(ctx context.Context, wait time.Duration) {
	wake := d.Wake
	if wait > 0 {
		wake = nil
	} else {
		wait = pollEvery
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	case <-d.Reopen:
		if r, ok := d.Sink.(Reopener); ok {
			if err := r.Reopen(); err != nil {
				d.Log.Warn("output not reopened, trying again", "sink", d.Sink.Name(), "err", err)
			}
		}
	}
}

// drain delivers until nothing is left or something fails.
func (d *Drain) drain(ctx context.Context) error {
	defer d.turn.End()
	for {
		d.turn.Begin()
		all, err := d.Source.Events(ctx, d.cursor, BatchSize)
		if err != nil || len(all) == 0 {
			return err
		}
		began := time.Now()
		if err := d.deliver(ctx, all); err != nil {
			return err
		}
		if time.Since(began) > slowBatch {
			if err := d.bound(ctx); err != nil {
				return err
			}
		}
	}
}

// deliver hands a batch over and moves the cursor behind what was taken.
func (d *Drain) deliver(ctx context.Context, all []Record) error {
	wanted := make([]Record, 0, len(all))
	for _, r := range all {
		if d.Sink.Wants(&r.Event) {
			wanted = append(wanted, r)
		}
	}
	n, err := 0, error(nil)
	if len(wanted) > 0 {
		n, err = d.Sink.Deliver(ctx, wanted)
	}
	switch {
	case err == nil:
		return d.advance(ctx, all[len(all)-1].Event.Seq)
	case n > 0:
		return errors.Join(err, d.advance(ctx, wanted[n-1].Event.Seq))
	default:
		return err
	}
}

func (d *Drain) advance(ctx context.Context, seq int64) error {
	kind, _, _ := strings.Cut(d.Sink.Name(), ".") // fault points are by kind of sink
	fault.Point(kind + ".cursor.before")
	if err := d.Source.SetCursor(ctx, d.Sink.Name(), seq); err != nil {
		return fmt.Errorf("cursor of %s: %w", d.Sink.Name(), err)
	}
	fault.Point(kind + ".cursor.after")
	d.cursor = seq
	return nil
}

// tell commits an event about the sink. It goes to all sinks, to this one too.
func (d *Drain) tell(ctx context.Context, e event.Event) error {
	e.Reason = event.ReasonSink + d.Sink.Name()
	return d.Source.Record(ctx, e)
}
