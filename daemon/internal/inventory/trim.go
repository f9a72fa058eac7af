package inventory

import (
	"context"
	"fmt"
)

// A call of Alive gives back at most this much, so that it stays short.
const (
	trimRows  = 5000
	trimPages = 200 // of 4 KiB
)

// Alive notes that this process lives, for the gap that the next start tells,
// and does a little housekeeping: what is older than the limits leaves the
// outbox and the history. It is meant to be called every half minute or so.
func (s *Store) Alive(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.transact(ctx, func(tx *transaction) error {
		now := tx.now()
		if _, err := tx.stmts.meta.ExecContext(tx.ctx, metaAlive, nanos(now)); err != nil {
			return err
		}
		if err := tx.trimOutbox(tx.seq-MaxOutbox, nanos(now.Add(-OutboxFor))); err != nil {
			return err
		}
		return tx.trimHistory(nanos(now.Add(-HistoryFor)))
	})
	if err == nil {
		vacuum := fmt.Sprintf("pragma incremental_vacuum(%d)", trimPages)
		_, err = s.conn.ExecContext(context.WithoutCancel(ctx), vacuum)
	}
	if err != nil {
		return fmt.Errorf("note a sign of life: %w", err)
	}
	return nil
}

// trimOutbox removes the oldest events that every sink has: those up to the
// sequence number, and those from before the time.
func (tx *transaction) trimOutbox(upTo, before int64) error {
	_, err := tx.conn.ExecContext(tx.ctx, `delete from outbox where seq in (
		select seq from outbox
		where (seq <= ?1 or at < ?2)
			and seq <= coalesce((select min(seq) from cursors), 9223372036854775807)
		order by seq limit ?3)`, upTo, before, trimRows)
	return err
}

func (tx *transaction) trimHistory(before int64) error {
	_, err := tx.conn.ExecContext(tx.ctx, `delete from history where id in (
		select id from history
		where id <= (select max(id) from history) - ?1 or at < ?2
		order by id limit ?3)`, MaxHistory, before, trimRows)
	return err
}
