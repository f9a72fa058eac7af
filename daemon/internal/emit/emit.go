// Package emit delivers committed events to the places that a SIEM reads.
//
// An event reaches a sink only after it is durable in the outbox, in the order
// of its sequence number. Each sink has a cursor of its own, so that a slow or
// dead one holds up nobody. What a sink promises is in its own comment: the
// JSON file has each event exactly once, syslog over TCP and TLS at least
// once, syslog over UDP and on /dev/log and the journal are best effort.
//
// A destination that is down keeps its events in the outbox, up to a number of
// them; what is dropped beyond it, and for how long it was down, is told by
// events of its own (see [Drain]).
package emit

import (
	"context"
	"encoding/json"
	"fmt"

	"sonde/daemon/internal/event"
)

// BatchSize is how many events are handed to a sink at once: at the 16 KiB
// that an event may have, 256 of them are 4 MiB.
const BatchSize = 256

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
	// LastSeq returns the sequence number of the last event there is.
	LastSeq(ctx context.Context) (int64, error)
	// Record commits one more event, about a sink.
	Record(ctx context.Context, e event.Event) error
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
