package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sonde/daemon/internal/event"
)

// metaOrders is where the orders of operators are kept, as package quiet writes
// them.
const metaOrders = "orders"

// Orders gives what SetOrders stored, "" at first.
func (r *Reader) Orders(ctx context.Context) (text string, err error) {
	err = r.db.QueryRowContext(ctx, "select value from meta where key = ?", metaOrders).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read orders: %w", err)
	}
	return text, nil
}

// SetOrders stores the orders of operators.
func (s *Store) SetOrders(ctx context.Context, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.transact(ctx, func(tx *transaction) error {
		_, err := tx.stmts.meta.ExecContext(tx.ctx, metaOrders, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("store orders: %w", err)
	}
	return nil
}

// SetSilencer has events marked as silenced of which silenced says so at the
// time of their decision. It must not call the store.
func (s *Store) SetSilencer(silenced func(e *event.Event, at time.Time) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silenced = silenced
}
