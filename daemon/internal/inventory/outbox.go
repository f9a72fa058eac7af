package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
)

// emit signs the event and writes it to the outbox, and to the history of the
// endpoint whose row is named (0: none).
func (tx *transaction) emit(ev *event.Event, endpoint int64) error {
	now := tx.now().UTC()
	tx.seq++
	ev.Schema, ev.Sensor = event.Schema, tx.sensor
	ev.Epoch, ev.Seq = tx.epoch, tx.seq
	ev.ID = event.ID(tx.sensor.UUID, tx.epoch, tx.seq)
	ev.Timestamp, ev.Clock = now, tx.clock
	if tx.dress != nil {
		tx.dress(ev)
	}
	ev.Silenced = tx.silenced != nil && tx.silenced(ev, now)
	text, err := encodeEvent(ev)
	if err != nil {
		return fmt.Errorf("event %s: %w", ev.Action, err)
	}
	_, err = tx.stmts.outbox.ExecContext(tx.ctx, ev.Seq, nanos(now), string(ev.Action), text)
	if err != nil || endpoint == 0 {
		return err
	}
	_, err = tx.stmts.history.ExecContext(tx.ctx, endpoint, ev.Seq, nanos(now),
		string(ev.Action), ev.Message)
	return err
}

// encodeEvent gives the event as one line of JSON without its end, shortened
// until it keeps MaxEvent and MaxLeaves.
func encodeEvent(ev *event.Event) (string, error) {
	for step := 0; ; step++ {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // nobody puts a log into a page unescaped; "<" stays one byte
		if err := enc.Encode(ev); err != nil {
			return "", err
		}
		line := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
		if len(line) <= MaxEvent && leaves(ev) <= MaxLeaves {
			return string(line), nil
		}
		if step == len(shortenings) {
			return "", fmt.Errorf("%d bytes and %d values are too many", len(line), leaves(ev))
		}
		shortenings[step](ev)
	}
}

// Record commits an event of the sensor itself, or about a host: nothing of it
// changes what is known of an endpoint. To sensor.started it adds how the run
// before ended.
func (s *Store) Record(ctx context.Context, ev event.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault.Point("store.record.before")
	now := s.now()
	if ev.Action == event.SensorStarted {
		ev.PreviousEnd = s.before.end
		if gap := now.Sub(s.before.alive); !s.before.alive.IsZero() && gap > 0 {
			ev.GapSeconds = int64(gap.Seconds())
		}
	}
	if ev.Severity == "" {
		ev.Severity = event.SeverityOf(ev.Action, ev.ChangeKind)
	}
	ev.Message = cleanString(ev.Message, maxMessage)
	if o := ev.Endpoint; o != nil {
		c := clean(*o, event.Key{Zone: ev.Zone, Addr: o.Addr, Transport: o.Transport, Port: o.Port})
		ev.Endpoint, _ = told(&c)
	}
	err := s.transact(ctx, func(tx *transaction) error {
		if err := tx.emit(&ev, 0); err != nil {
			return err
		}
		_, err := tx.stmts.meta.ExecContext(tx.ctx, metaAlive, nanos(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("record %s: %w", ev.Action, err)
	}
	fault.Point("store.record.after")
	return nil
}

// Wake gives a channel that receives after events were committed, at least
// once for all that came since it was last read. It is never closed.
func (s *Store) Wake() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{}, 1)
	s.wakes = append(s.wakes, c)
	return c
}

func (s *Store) wake() {
	for _, c := range s.wakes {
		select {
		case c <- struct{}{}:
		default: // it is told already
		}
	}
}

// SetCursor notes durably that the sink has all events up to seq.
func (s *Store) SetCursor(ctx context.Context, sink string, seq int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault.Point("store.cursor.before")
	err := s.transact(ctx, func(tx *transaction) error {
		_, err := tx.conn.ExecContext(tx.ctx, `insert into cursors (sink, seq) values (?, ?)
			on conflict (sink) do update set seq = excluded.seq`, sink, seq)
		return err
	})
	if err != nil {
		return fmt.Errorf("set cursor of %s: %w", sink, err)
	}
	fault.Point("store.cursor.after")
	return nil
}

// DropCursor forgets a sink that is no longer configured. Until then the
// outbox keeps every event that it lacks.
func (s *Store) DropCursor(ctx context.Context, sink string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.transact(ctx, func(tx *transaction) error {
		_, err := tx.conn.ExecContext(tx.ctx, `delete from cursors where sink = ?`, sink)
		return err
	})
	if err != nil {
		return fmt.Errorf("drop cursor of %s: %w", sink, err)
	}
	return nil
}
