// Package emit delivers committed events to the places that a SIEM reads.
//
// An event reaches a sink only after it is durable in the outbox, in the order
// of its sequence number. Each sink has a cursor of its own, so that a slow or
// dead one holds up nobody. What a sink promises is in its own comment: the
// JSON file has each event exactly once, syslog over UDP and /dev/log are best
// effort.
package emit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
)

// Limits of the drain loop.
const (
	// BatchSize is how many events are handed to a sink at once: at the 16 KiB
	// that an event may have, 256 of them are 4 MiB.
	BatchSize = 256
	// pollEvery is how long an event may lie unnoticed when no wake-up came.
	pollEvery = time.Second
	// backoffMin and backoffMax bound the wait after a failed delivery.
	backoffMin = 250 * time.Millisecond
	backoffMax = 30 * time.Second
)

// A Record is one committed event: its contents, and the JSON line that was
// committed, without a line end.
type Record struct {
	Event event.Event
	JSON  []byte
}

// NewRecord decodes the committed JSON of an event.
func NewRecord(line []byte) (Record, error) {
	r := Record{JSON: line}
	if err := json.Unmarshal(line, &r.Event); err != nil {
		return Record{}, fmt.Errorf("decode event: %w", err)
	}
	return r, nil
}

// A Source is the outbox.
type Source interface {
	// Events returns up to limit records with a sequence number above after.
	Events(ctx context.Context, after int64, limit int) ([]Record, error)
	// Cursor returns the last sequence number that the sink has, 0 at first.
	Cursor(ctx context.Context, sink string) (int64, error)
	// SetCursor stores it durably.
	SetCursor(ctx context.Context, sink string, seq int64) error
}

// A Sink is one destination. Its methods are called from one goroutine.
type Sink interface {
	// Name identifies the cursor; it must not change between runs.
	Name() string
	// Wants says whether the sink takes this event.
	Wants(e *event.Event) bool
	// Resume tells the sink the stored cursor before the first delivery; it
	// returns the cursor to go on from, which is higher where the destination
	// itself proves that it has more.
	Resume(epoch, cursor int64) (int64, error)
	// Deliver writes the records in order and returns how many of them the
	// destination has for good; with fewer than all there is an error.
	Deliver(ctx context.Context, records []Record) (int, error)
	Close() error
}

// A Drain moves events from the source to one sink until its context ends.
type Drain struct {
	Source Source
	Sink   Sink
	Epoch  int64
	Wake   <-chan struct{} // a send means: there may be new events; may be nil
	Log    *slog.Logger

	// FlushTimeout bounds the last delivery after the context has ended.
	FlushTimeout time.Duration

	cursor int64
}

// Name implements task.Task.
func (d *Drain) Name() string { return "emit " + d.Sink.Name() }

// Run delivers until ctx ends, then delivers what is committed by then, for at
// most FlushTimeout. It returns an error only when the sink cannot resume.
func (d *Drain) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, d.Sink.Close()) }()
	if err := d.resume(ctx); err != nil {
		return err
	}
	ready()
	backoff := backoffMin
	for ctx.Err() == nil {
		wait := pollEvery
		if err := d.drain(ctx); err != nil && ctx.Err() == nil {
			d.Log.Warn("delivery failed, trying again", "sink", d.Sink.Name(), "err", err, "in", backoff)
			wait = backoff
			backoff = min(2*backoff, backoffMax)
		} else {
			backoff = backoffMin
		}
		d.sleep(ctx, wait, wait == pollEvery)
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
		return d.advance(ctx, d.cursor)
	}
	return nil
}

// sleep waits for the time, or shorter for a wake-up where that is allowed.
func (d *Drain) sleep(ctx context.Context, wait time.Duration, wakeable bool) {
	t := time.NewTimer(wait)
	defer t.Stop()
	wake := d.Wake
	if !wakeable {
		wake = nil
	}
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// drain delivers until nothing is left or something fails.
func (d *Drain) drain(ctx context.Context) error {
	for {
		all, err := d.Source.Events(ctx, d.cursor, BatchSize)
		if err != nil || len(all) == 0 {
			return err
		}
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
			if err := d.advance(ctx, all[len(all)-1].Event.Seq); err != nil {
				return err
			}
		case n > 0:
			return errors.Join(err, d.advance(ctx, wanted[n-1].Event.Seq))
		default:
			return err
		}
	}
}

func (d *Drain) advance(ctx context.Context, seq int64) error {
	fault.Point(d.Sink.Name() + ".cursor.before")
	if err := d.Source.SetCursor(ctx, d.Sink.Name(), seq); err != nil {
		return fmt.Errorf("cursor of %s: %w", d.Sink.Name(), err)
	}
	fault.Point(d.Sink.Name() + ".cursor.after")
	d.cursor = seq
	return nil
}
