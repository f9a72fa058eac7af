package inventory

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// Find gives what is known of one port of one address, in each zone, whether its
// watch is still there or not.
func (r *Reader) Find(ctx context.Context, a netip.Addr, t probes.Transport, port uint16) (list []Endpoint, err error) {
	f := Filter{Addr: a, Transport: t, Port: port, Retired: true}
	for e, err := range r.Endpoints(ctx, f) {
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// A Past is one thing that was told of an endpoint.
type Past struct {
	Seq     int64        `json:"seq"` // of its event
	At      time.Time    `json:"at"`
	Action  event.Action `json:"action"`
	Message string       `json:"message"`
}

// History gives what was told of an endpoint, the newest first, at most limit.
func (r *Reader) History(ctx context.Context, k event.Key, limit int) ([]Past, error) {
	rows, err := r.db.QueryContext(ctx, `select h.seq, h.at, h.action, h.message from history h
		join endpoints e on e.id = h.endpoint
		where e.zone = ? and e.addr = ? and e.transport = ? and e.port = ? order by h.id desc limit ?`,
		k.Zone, k.Addr.String(), string(k.Transport), k.Port, limit)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	defer rows.Close()
	var out []Past
	for rows.Next() {
		var p Past
		var at int64
		if err := rows.Scan(&p.Seq, &at, &p.Action, &p.Message); err != nil {
			return nil, fmt.Errorf("read history: %w", err)
		}
		p.At = timeOf(at)
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return out, nil
}

// Shown is an observation as it may be shown to those who may not read the state
// itself: as events have it, secrets blotted out, with its cost.
func Shown(o *probes.Observation) *probes.Observation {
	c := *o
	c.Evidence, c.Fingerprint = eventEvidence(o.Evidence), ""
	return &c
}
