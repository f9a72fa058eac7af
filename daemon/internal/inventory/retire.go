package inventory

import (
	"context"
	"fmt"

	"sonde/daemon/internal/event"
)

// RetireWatch handles a watch that was removed from the configuration: one
// watch.retired and no service.gone. Its endpoints are kept, marked, so that
// they do not return as new; its passes are forgotten, so that the watch
// begins with a baseline if it comes back. A watch of which nothing is known
// is told nothing of.
func (s *Store) RetireWatch(ctx context.Context, watch string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var known coverage
	err := s.transact(ctx, func(tx *transaction) error {
		if err := tx.retire(watch); err != nil {
			return err
		}
		return known.load(tx.ctx, tx.conn)
	})
	if err != nil {
		return fmt.Errorf("retire watch %s: %w", watch, err)
	}
	s.coverage = known
	return nil
}

func (tx *transaction) retire(watch string) error {
	var changed [5]int64
	for i, text := range []string{
		`delete from endpoints where watch = ? and status = 'candidate'`,
		`update endpoints set retired = 1, next_at = 0, next_why = '' where watch = ? and retired = 0`,
		`delete from passes where watch = ?`,
		`delete from machines where watch = ?`,
		`delete from masses where watch = ?`,
	} {
		result, err := tx.conn.ExecContext(tx.ctx, text, watch)
		if err != nil {
			return err
		}
		if changed[i], err = result.RowsAffected(); err != nil {
			return err
		}
	}
	if changed == [5]int64{} {
		return nil
	}
	return tx.emit(&event.Event{
		Action:   event.WatchRetired,
		Severity: event.SeverityOf(event.WatchRetired, ""),
		Cause:    event.CauseConfig,
		Watch:    watch,
		Counts:   map[string]int{"endpoints": int(changed[1])},
		Message: cleanString(fmt.Sprintf("watch %s: removed, %d endpoints no longer watched",
			watch, changed[1]), maxMessage),
	}, 0)
}
