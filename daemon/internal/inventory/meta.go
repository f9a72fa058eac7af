package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Keys of the table meta.
const (
	metaUUID  = "sensor_uuid"
	metaEpoch = "epoch"
	metaSeq   = "last_seq"
	metaAlive = "last_alive"
	metaClean = "clean_end"

	// What all evidence was matched by, what it is being matched by, and the id
	// of the last endpoint of which that is done.
	metaDatabase   = "matched_database"
	metaEngine     = "matched_engine"
	metaRematching = "matching_again_by"
	metaRematched  = "matched_again_to"
)

// How the run before ended, as sensor.started tells it.
const (
	endFirst = "first"
	endClean = "clean"
	endCrash = "crash"
)

// meta is what the store knows of itself.
type meta struct {
	uuid       string
	epoch, seq int64
	alive      int64
	clean      bool
	fresh      bool // made just now
}

func (m *meta) previous() previous {
	p := previous{end: endCrash, alive: timeOf(m.alive)}
	switch {
	case m.fresh:
		p.end = endFirst
	case m.clean:
		p.end = endClean
	}
	return p
}

func readMeta(ctx context.Context, c *sql.Conn) (m meta, err error) {
	for _, read := range []struct {
		key  string
		into any
	}{
		{metaUUID, &m.uuid}, {metaEpoch, &m.epoch}, {metaSeq, &m.seq},
		{metaAlive, &m.alive}, {metaClean, &m.clean},
	} {
		if err := readMetaKey(ctx, c, read.key, read.into); err != nil {
			return m, err
		}
	}
	return m, nil
}

// readMetaKey leaves into as it is when there is no such key.
func readMetaKey(ctx context.Context, c *sql.Conn, key string, into any) error {
	err := c.QueryRowContext(ctx, "select value from meta where key = ?", key).Scan(into)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read meta %s: %w", key, err)
	}
	return nil
}

const writeMetaSQL = `insert into meta (key, value) values (?, ?)
	on conflict (key) do update set value = excluded.value`

func writeMeta(ctx context.Context, c *sql.Conn, key string, value any) error {
	if _, err := c.ExecContext(ctx, writeMetaSQL, key, value); err != nil {
		return fmt.Errorf("write meta %s: %w", key, err)
	}
	return nil
}

// nanos and timeOf keep a time as Unix nanoseconds, 0 for the zero time. The
// years 1678 to 2262 fit.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
