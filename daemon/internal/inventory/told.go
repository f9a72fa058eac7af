package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sonde/daemon/internal/event"
)

// told gives the events of two actions that were told since a time, in order:
// the outbox is where it is kept what began and has not ended, for the time and
// the number of events that Retention names.
func (r *Reader) told(ctx context.Context, since time.Time, begins, ends event.Action) (list []event.Event, err error) {
	rows, err := r.db.QueryContext(ctx, `select event from outbox where at >= ? and action in (?, ?) order by seq`,
		nanos(since), string(begins), string(ends))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		var ev event.Event
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &ev); err != nil {
			continue // of another version: nothing to go on with
		}
		list = append(list, ev)
	}
	return list, rows.Err()
}

// An Outage is what was told of a sink that is not told to have recovered.
type Outage struct {
	Since time.Time // when it went down; zero: it was not told to be down
	Lost  int64     // events told to be dropped
}

// Outages gives what was told last of sinks, by their names.
func (r *Reader) Outages(ctx context.Context) (map[string]Outage, error) {
	list, err := r.told(ctx, time.Time{}, event.SensorDegraded, event.SensorRecovered)
	if err != nil {
		return nil, fmt.Errorf("read outages of sinks: %w", err)
	}
	all := map[string]Outage{}
	for i := range list {
		ev := &list[i]
		name, ok := strings.CutPrefix(ev.Reason, event.ReasonSink)
		switch o := all[name]; {
		case !ok:
		case ev.Action == event.SensorRecovered:
			delete(all, name)
		default:
			if down, ok := ev.Counts["down_s"]; ok && o.Since.IsZero() {
				o.Since = ev.Timestamp.Add(-time.Duration(down) * time.Second)
			}
			o.Lost += int64(ev.Counts["dropped"])
			all[name] = o
		}
	}
	return all, nil
}
