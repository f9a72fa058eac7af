package inventory

import (
	"context"
	"fmt"
	"time"

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
	list, err := r.told(ctx, time.Time{}, event.WatchOverdue, event.WatchRecovered)
	if err != nil {
		return nil, fmt.Errorf("read broken promises: %w", err)
	}
	broken := map[Overdue]bool{}
	for i := range list {
		broken[Overdue{list[i].Watch, list[i].Reason}] = list[i].Action == event.WatchOverdue
	}
	var out []Overdue
	for o, is := range broken {
		if is {
			out = append(out, o)
		}
	}
	return out, nil
}
