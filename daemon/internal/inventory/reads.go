package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sonde/daemon/internal/event"
)

// A Row is one committed event.
type Row struct {
	Seq    int64
	Action event.Action
	JSON   []byte // the event on one line, without its end
}

// Events gives the events after a sequence number, in order, at most limit.
func (r *Reader) Events(ctx context.Context, after int64, limit int) ([]Row, error) {
	rows, err := r.db.QueryContext(ctx, `select seq, action, event from outbox
		where seq > ? order by seq limit ?`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	var out []Row
	for rows.Next() {
		var e Row
		if err := rows.Scan(&e.Seq, &e.Action, &e.JSON); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return out, nil
}

// LastSeq is the sequence number of the last event committed, 0 for none.
func (r *Reader) LastSeq(ctx context.Context) (seq int64, err error) {
	err = r.db.QueryRowContext(ctx, `select value from meta where key = ?`, metaSeq).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("read last sequence number: %w", err)
	}
	return seq, nil
}

// Cursor is the sequence number up to which the sink has all events, 0 for a
// sink that is not known.
func (r *Reader) Cursor(ctx context.Context, sink string) (seq int64, err error) {
	err = r.db.QueryRowContext(ctx, `select seq from cursors where sink = ?`, sink).Scan(&seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read cursor of %s: %w", sink, err)
	}
	return seq, nil
}

// Cursors gives all known sinks and their cursors.
func (r *Reader) Cursors(ctx context.Context) (map[string]int64, error) {
	rows, err := r.db.QueryContext(ctx, `select sink, seq from cursors`)
	if err != nil {
		return nil, fmt.Errorf("read cursors: %w", err)
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var sink string
		var seq int64
		if err := rows.Scan(&sink, &seq); err != nil {
			return nil, fmt.Errorf("read cursors: %w", err)
		}
		all[sink] = seq
	}
	return all, rows.Err()
}

// Passes gives the last complete pass of each scope.
func (r *Reader) Passes(ctx context.Context) ([]Pass, error) {
	rows, err := r.db.QueryContext(ctx, passesSQL+` where done > 0 order by done`)
	if err != nil {
		return nil, fmt.Errorf("read passes: %w", err)
	}
	defer rows.Close()
	var out []Pass
	err = scanPasses(rows, func(p Pass) error { out = append(out, p); return nil })
	if err != nil {
		return nil, fmt.Errorf("read passes: %w", err)
	}
	return out, nil
}

// watchesSQL steps from one name to the next in the index, as there may be a
// million endpoints of each.
const watchesSQL = `with recursive names (watch) as (
		select min(watch) from endpoints
		union all
		select (select min(watch) from endpoints where watch > names.watch) from names where watch is not null)
	select watch from names
		where exists (select 1 from endpoints e where e.watch = names.watch and e.retired = 0)
	union select watch from passes order by 1`

// Watches gives the names of the watches that have endpoints or passes and
// are not retired.
func (r *Reader) Watches(ctx context.Context) ([]string, error) {
	rows, err := r.db.QueryContext(ctx, watchesSQL)
	if err != nil {
		return nil, fmt.Errorf("read watches: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read watches: %w", err)
		}
		out = append(out, name)
	}
	return out, rows.Err()
}
