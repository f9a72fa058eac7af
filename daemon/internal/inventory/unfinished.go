package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// metaUnfinished is what the keys of unfinished passes begin with, in the table
// meta.
const metaUnfinished = "unfinished:"

// An Unfinished pass has not come to its end, and says how far it is: nothing
// was lost below Next, and all that was found there is in the store.
type Unfinished struct {
	Pass  Pass           // as PassDone would have it; of the times only Started counts
	Left  []netip.Prefix // hosts that were left out so far
	Seed  uint64         // of the order
	Order uint64         // a check sum of it: another program may have another order
	Next  uint64         // place in the order
	Saved time.Time
}

func (u *Unfinished) key() string { return metaUnfinished + u.Pass.Watch + " " + u.Pass.Method }

// SaveUnfinished remembers how far a pass is, instead of what was remembered of
// one of the same watch and method. PassDone forgets it.
func (s *Store) SaveUnfinished(ctx context.Context, u Unfinished) error {
	text, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("pass of watch %s goes on: %w", u.Pass.Watch, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.transact(ctx, func(tx *transaction) error { return writeMeta(tx.ctx, tx.conn, u.key(), string(text)) })
	if err != nil {
		return fmt.Errorf("pass of watch %s goes on: %w", u.Pass.Watch, err)
	}
	return nil
}

// TakeUnfinished gives what was remembered and forgets all of it, so that what
// nobody goes on with is not kept. What cannot be read is left out.
func (s *Store) TakeUnfinished(ctx context.Context) (list []Unfinished, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.transact(ctx, func(tx *transaction) error {
		rows, err := tx.conn.QueryContext(tx.ctx,
			`delete from meta where substr(key, 1, ?) = ? returning value`, len(metaUnfinished), metaUnfinished)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			var u Unfinished
			if json.Unmarshal([]byte(text), &u) == nil {
				list = append(list, u)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("take unfinished passes: %w", err)
	}
	return list, nil
}

// finish forgets how far the pass was.
func (tx *transaction) finish(p *Pass) error {
	u := Unfinished{Pass: *p}
	_, err := tx.conn.ExecContext(tx.ctx, `delete from meta where key = ?`, u.key())
	return err
}
