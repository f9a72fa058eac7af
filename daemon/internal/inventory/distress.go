package inventory

import (
	"context"
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
	list, err := r.told(ctx, since, event.HostDistress, event.HostRecovered)
	if err != nil {
		return nil, fmt.Errorf("read hosts in distress: %w", err)
	}
	var out []Distress
	for i := range list {
		if ev := &list[i]; ev.Endpoint != nil && ev.Reason != ReasonEverything {
			out = append(out, Distress{Watch: ev.Watch, Zone: ev.Zone, Addr: ev.Endpoint.Addr,
				At: ev.Timestamp, Over: ev.Action == event.HostRecovered})
		}
	}
	return out, nil
}
