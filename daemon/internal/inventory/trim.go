package inventory

import (
	"context"
	"fmt"
	"time"

	"sonde/daemon/internal/fault"
)

// A call of Alive gives back at most this much, so that it stays short.
const (
	trimRows      = 5000
	trimEndpoints = 200
	trimPages     = 1000 // of 4 KiB
)

// Alive notes that this process lives, for the gap that the next start tells,
// and does a little housekeeping: what is older or more than the Retention allows
// leaves, and what that frees is given back to the system. It is meant to be
// called every half minute or so.
func (s *Store) Alive(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.alive(ctx); err != nil {
		return fmt.Errorf("note a sign of life: %w", err)
	}
	return nil
}

func (s *Store) alive(ctx context.Context) error {
	used, err := s.used(ctx)
	if err != nil {
		return err
	}
	err = s.transact(ctx, func(tx *transaction) error {
		if _, err := tx.stmts.meta.ExecContext(tx.ctx, metaAlive, nanos(tx.now())); err != nil {
			return err
		}
		if err := tx.trim(used > tx.keep.MaxSize); err != nil {
			return err
		}
		fault.Point("store.trim.done")
		return nil
	})
	if err != nil {
		return err
	}
	fault.Point("store.vacuum.before")
	vacuum := fmt.Sprintf("pragma incremental_vacuum(%d)", trimPages)
	if _, err := s.conn.ExecContext(context.WithoutCancel(ctx), vacuum); err != nil {
		return err
	}
	fault.Point("store.vacuum.after")
	used, err = s.used(ctx)
	s.over.Store(used > s.keep.MaxSize)
	return err
}

// Overfull tells whether the store holds more than its Retention allows, although
// all that may leave has left, as of the last call of Alive.
func (s *Store) Overfull() bool { return s.over.Load() }

// used is how many bytes of the file hold something.
func (s *Store) used(ctx context.Context) (n int64, err error) {
	if s.conn == nil {
		return 0, nil
	}
	err = s.conn.QueryRowContext(ctx, usedSQL).Scan(&n)
	return n, err
}

const usedSQL = `select (page_count - freelist_count) * page_size
	from pragma_page_count, pragma_freelist_count, pragma_page_size`

// trim removes what is past its time or its number, and where the file is too
// large the oldest beyond that.
func (tx *transaction) trim(tooLarge bool) error {
	now, keep := tx.now(), tx.keep
	if tooLarge {
		keep.EventsMost, keep.HistoryMost = 0, 0
	}
	if err := tx.trimOutbox(tx.seq-int64(keep.EventsMost), nanos(now.Add(-keep.EventsFor))); err != nil {
		return err
	}
	if err := tx.trimHistory(keep.HistoryMost, nanos(now.Add(-keep.HistoryFor))); err != nil {
		return err
	}
	return tx.trimEndpoints(now.Add(-keep.GoneFor))
}

// trimOutbox removes the oldest events that every sink has: those up to the
// sequence number, and those from before the time. Events are in the order of
// their times, but for a clock that was set, so that only the oldest are looked
// at.
func (tx *transaction) trimOutbox(upTo, before int64) error {
	_, err := tx.conn.ExecContext(tx.ctx, `delete from outbox where seq in (
		select seq from (select seq, at from outbox order by seq limit ?3)
		where (seq <= ?1 or at < ?2)
			and seq <= coalesce((select min(seq) from cursors), 9223372036854775807))`,
		upTo, before, trimRows)
	return err
}

func (tx *transaction) trimHistory(most int, before int64) error {
	_, err := tx.conn.ExecContext(tx.ctx, `delete from history where id in (
		select id from (select id, at from history order by id limit ?3)
		where id <= (select max(id) from history) - ?1 or at < ?2)`, most, before, trimRows)
	return err
}

// trimEndpoints forgets what is gone, or was no longer watched, since before the
// time; and with the last endpoint of a host the host.
func (tx *transaction) trimEndpoints(before time.Time) error {
	_, err := tx.conn.ExecContext(tx.ctx, `delete from endpoints where id in (
		select id from endpoints where (status = 'gone' or retired = 1) and last_seen < ?
		order by last_seen limit ?)`, nanos(before), trimEndpoints)
	return err
}
