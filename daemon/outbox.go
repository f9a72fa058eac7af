package main

import (
	"context"

	"sonde/daemon/internal/emit"
	"sonde/daemon/internal/inventory"
)

// outbox is the store as the sinks see it.
type outbox struct{ *inventory.Store }

// Events implements emit.Source.
func (o outbox) Events(ctx context.Context, after int64, limit int) ([]emit.Record, error) {
	rows, err := o.Store.Events(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	records := make([]emit.Record, 0, len(rows))
	for i := range rows {
		r, err := emit.NewRecord(rows[i].JSON)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}
