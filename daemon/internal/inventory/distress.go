package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"sonde/daemon/internal/event"
)

// A Distress is a host that fell silent after it was spoken to, or one that
// recovered from that.
type Distress struct {
	Watch string
	Zone  string
	Addr  netip.Addr
	At    time.Time // when it was told
	Over  bool      // it recovered
}

// Distress gives what was told of hosts in distress since a time, in order.
// The outbox is where that is kept, for the time and the number of events
// that Retention names.
func (r *Reader) Distress(ctx context.Context, since time.Time) ([]Distress, error) {
	rows, err := r.db.QueryContext(ctx, `select event from outbox where at >= ? and action in (?, ?)
		order by seq`, nanos(since), string(event.HostDistress), string(event.HostRecovered))
	if err != nil {
		return nil, fmt.Errorf("read hosts in distress: %w", err)
	}
	defer rows.Close()
	var out []Distress
	for rows.Next() {
		var text []byte
		var ev event.Event
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("read hosts in distress: %w", err)
		}
		if err := json.Unmarshal(text, &ev); err != nil || ev.Endpoint == nil || ev.Reason == ReasonEverything {
			continue // of another version: nothing to hold anybody to
		}
		out = append(out, Distress{Watch: ev.Watch, Zone: ev.Zone, Addr: ev.Endpoint.Addr,
			At: ev.Timestamp, Over: ev.Action == event.HostRecovered})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read hosts in distress: %w", err)
	}
	return out, nil
}
