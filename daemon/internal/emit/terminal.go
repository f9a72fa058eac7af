package emit

import (
	"context"
	"fmt"
	"io"

	"sonde/daemon/internal/event"
)

// Terminal shows each event as one line to a person who started the daemon by
// hand.
type Terminal struct{ w io.Writer }

// NewTerminal returns a sink on w.
func NewTerminal(w io.Writer) *Terminal { return &Terminal{w} }

// TerminalName is the name of the sink's cursor.
const TerminalName = "terminal"

// Name implements Sink.
func (t *Terminal) Name() string { return TerminalName }

// Wants implements Sink.
func (t *Terminal) Wants(e *event.Event) bool { return !e.Silenced }

// Resume implements Sink.
func (t *Terminal) Resume(_, cursor int64) (int64, error) { return cursor, nil }

// Close implements Sink.
func (t *Terminal) Close() error { return nil }

// Deliver implements Sink. A terminal that is gone loses nothing: the events
// stay in the store.
func (t *Terminal) Deliver(_ context.Context, records []Record) (int, error) {
	for i := range records {
		e := &records[i].Event
		_, _ = fmt.Fprintf(t.w, "%s %-7s %-18s %s\n", e.Timestamp.Local().Format("15:04:05"),
			e.Severity, e.Action, clean(e.Message))
	}
	return len(records), nil
}
