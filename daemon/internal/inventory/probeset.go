package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// metaProbeSet is where the probes that are sent are kept, by their hash, and since
// when they are.
const metaProbeSet = "probe_set"

// ProbeSet notes which probes are sent from now on, by a hash of them, and tells
// since when these are; zero: always.
func (s *Store) ProbeSet(ctx context.Context, hash string, now time.Time) (since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.transact(ctx, func(tx *transaction) error {
		var text string
		err := tx.conn.QueryRowContext(tx.ctx, "select value from meta where key = ?", metaProbeSet).Scan(&text)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		was, at, _ := strings.Cut(text, " ")
		if was == hash {
			n, err := strconv.ParseInt(at, 10, 64)
			since = timeOf(n)
			return err
		}
		if was != "" {
			since = now
		}
		_, err = tx.stmts.meta.ExecContext(tx.ctx, metaProbeSet, fmt.Sprint(hash, " ", nanos(since)))
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("store the set of probes: %w", err)
	}
	return since, nil
}
