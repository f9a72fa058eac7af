package inventory

import (
	"context"
	"encoding/json"
	"fmt"

	"sonde/daemon/internal/event"
)

// An Overdue is a promise of a watch that was told to be broken, and not to be
// kept since.
type Overdue struct {
	Watch   string
	Promise string // the reason of the event: "verify_every" or "discover_every"
}

// Overdue gives the promises that were told last to be broken. As with
// [Reader.Distress], the outbox is where that is kept.
func (r *Reader) Overdue(ctx context.Context) ([]Overdue, error) {
	rows, err := r.db.QueryContext(ctx, `select event from outbox where action in (?, ?) order by seq`,
		string(event.WatchOverdue), string(event.WatchRecovered))
	if err != nil {
		return nil, fmt.Errorf("read broken promises: %w", err)
	}
	defer rows.Close()
	broken := map[Overdue]bool{}
	for rows.Next() {
		var text []byte
		var ev event.Event
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("read broken promises: %w", err)
		}
		if err := json.Unmarshal(text, &ev); err != nil {
			continue // of another version: nothing to go on with
		}
		broken[Overdue{ev.Watch, ev.Reason}] = ev.Action == event.WatchOverdue
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read broken promises: %w", err)
	}
	var out []Overdue
	for o, is := range broken {
		if is {
			out = append(out, o)
		}
	}
	return out, nil
}
