package emit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
)

const testEpoch = 42

// outbox is a Source in memory.
type outbox struct {
	mu      sync.Mutex
	records []Record
	cursors map[string]int64
	fail    error // of the next SetCursor
}

func (o *outbox) add(actions ...event.Action) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range actions {
		seq := int64(len(o.records) + 1)
		o.records = append(o.records, record(seq, a))
	}
}

func record(seq int64, a event.Action) Record {
	e := event.Event{Schema: event.Schema, ID: event.ID("uuid", testEpoch, seq), Epoch: testEpoch,
		Seq: seq, Action: a, Severity: event.SeverityOf(a, ""), Message: fmt.Sprint("event ", seq),
		Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}
	line, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return Record{Event: e, JSON: line}
}

func (o *outbox) Events(_ context.Context, after int64, limit int) ([]Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	end := min(len(o.records), int(after)+limit)
	return append([]Record(nil), o.records[min(int(after), end):end]...), nil
}

func (o *outbox) LastSeq(context.Context) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int64(len(o.records)), nil
}

func (o *outbox) Record(_ context.Context, e event.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := record(int64(len(o.records)+1), e.Action)
	e.Schema, e.ID, e.Epoch, e.Seq = event.Schema, r.Event.ID, testEpoch, r.Event.Seq
	e.Severity = event.SeverityOf(e.Action, "")
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	o.records = append(o.records, Record{Event: e, JSON: line})
	return nil
}

func (o *outbox) Cursor(ctx context.Context, sink string) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cursors[sink], ctx.Err()
}

func (o *outbox) SetCursor(_ context.Context, sink string, seq int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.fail; err != nil {
		o.fail = nil
		return err
	}
	o.cursors[sink] = seq
	return nil
}

// memory is a Sink that fails on demand.
type memory struct {
	mu     sync.Mutex
	got    []int64
	accept int // records taken before the next error, -1 for no error
	err    error
	closed bool
}

func (m *memory) Name() string                          { return "memory" }
func (m *memory) Wants(e *event.Event) bool             { return e.Action != event.ServiceBaseline }
func (m *memory) Resume(_, cursor int64) (int64, error) { return cursor, nil }
func (m *memory) Close() error                          { m.closed = true; return nil }
func (m *memory) Deliver(_ context.Context, rs []Record) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range rs {
		if m.accept == i {
			m.accept = -1
			return i, m.err
		}
		m.got = append(m.got, r.Event.Seq)
	}
	return len(rs), nil
}

func TestDrainDeliversInOrderAcrossFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{cursors: map[string]int64{}}
		sink := &memory{accept: 1, err: errors.New("down")}
		d := &Drain{Source: box, Sink: sink, Epoch: testEpoch, Log: slog.New(slog.DiscardHandler),
			FlushTimeout: time.Second}
		box.add(event.SensorStarted, event.ServiceNew, event.ServiceBaseline, event.ServiceGone)

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		ready := false
		go func() { done <- d.Run(ctx, func() { ready = true }) }()
		time.Sleep(2 * time.Second)
		box.add(event.ServiceNew)
		time.Sleep(2 * time.Second)
		box.add(event.SensorStopped) // committed just before the end
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(sink.got); got != "[1 2 4 5 6]" {
			t.Errorf("delivered %s, want all but the baseline, each once and in order", got)
		}
		if box.cursors["memory"] != 6 || !sink.closed || !ready {
			t.Errorf("cursor %d closed %v ready %v", box.cursors["memory"], sink.closed, ready)
		}
	})
}

// TestDrainStoppedBeforeItBegan delivers what is committed all the same.
func TestDrainStoppedBeforeItBegan(t *testing.T) {
	box := &outbox{cursors: map[string]int64{}}
	sink := &memory{accept: -1}
	d := &Drain{Source: box, Sink: sink, Epoch: testEpoch, Log: slog.New(slog.DiscardHandler), FlushTimeout: time.Minute}
	box.add(event.SensorStarted, event.SensorStopped)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx, func() {}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(sink.got); got != "[1 2]" || box.cursors["memory"] != 2 || !sink.closed {
		t.Errorf("delivered %s, cursor %d, closed %t", got, box.cursors["memory"], sink.closed)
	}
}

func TestDrainDeliversAgainWhenTheCursorWasNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{cursors: map[string]int64{}, fail: errors.New("disk full")}
		sink := &memory{accept: -1}
		d := &Drain{Source: box, Sink: sink, Epoch: testEpoch, Log: slog.New(slog.DiscardHandler),
			FlushTimeout: time.Second}
		box.add(event.ServiceNew)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx, func() {}) }()
		time.Sleep(5 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(sink.got); got != "[1 1]" || box.cursors["memory"] != 1 {
			t.Errorf("delivered %s, cursor %d; want a second delivery and the cursor behind it",
				got, box.cursors["memory"])
		}
	})
}
