package sent

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"sonde/daemon/internal/task"
	"sonde/probes/visitor"
)

// Name implements task.Task.
func (*Log) Name() string { return "sent" }

// Run implements task.Task: it writes what is told of, until ctx ends.
func (l *Log) Run(ctx context.Context, ready func()) error {
	ready()
	task.Every(ctx, flushEvery, l.flush)
	return nil
}

// Close writes what still waits and ends the run. It is called when nothing is
// told any more.
func (l *Log) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	l.flush(ctx)
	_, err := l.db.ExecContext(ctx, "update runs set alive = ?1, ended = ?1 where begun = ?2", l.cfg.Now().UnixMicro(), l.run)
	return errors.Join(err, l.db.Close())
}

// Busy is how long it has been at writing, 0 while it is not.
func (l *Log) Busy() time.Duration { return l.turn.Busy() }

// flush writes all that waits. What cannot be written is lost and counted; the
// first failure of a row is logged.
func (l *Log) flush(ctx context.Context) {
	l.turn.Begin()
	defer l.turn.End()
	l.mu.Lock()
	b := batch{l.waiting, l.changes, l.lost}
	l.waiting, l.changes, l.lost = nil, nil, 0
	l.mu.Unlock()
	err := l.write(ctx, b)
	if full(err) {
		if err = l.makeRoom(ctx); err == nil {
			err = l.write(ctx, b)
		}
	}
	if err != nil {
		l.mu.Lock() // the sweeps are few and tried again; of the contacts the number is kept
		l.changes = append(b.changes, l.changes...)
		l.lost += b.lost + len(b.contacts)
		l.mu.Unlock()
	} else {
		err = l.forget(ctx)
	}
	if why := l.unfit(err); why != "" {
		err = l.mend(ctx, why)
	}
	if err != nil && !l.ailing && ctx.Err() == nil {
		l.cfg.Log.Error("what was sent is not logged", "err", err)
	}
	l.ailing = err != nil
}

// A batch is what one transaction holds.
type batch struct {
	contacts []visitor.Contact
	changes  []sweepChange
	lost     int
}

func (l *Log) write(ctx context.Context, b batch) error {
	now := l.cfg.Now()
	if len(b.contacts)+len(b.changes)+b.lost == 0 && now.Sub(l.alive) < aliveEvery {
		return nil
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := l.put(ctx, tx, b, now); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	l.alive = now
	return nil
}

func (l *Log) put(ctx context.Context, tx *sql.Tx, b batch, now time.Time) error {
	if err := putContacts(ctx, tx, b.contacts); err != nil {
		return err
	}
	for i := range b.changes {
		if err := b.changes[i].put(ctx, tx); err != nil {
			return err
		}
	}
	if b.lost > 0 {
		if err := putGap(ctx, tx, now, b.lost, "more at once than could be written"); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "update runs set alive = ? where begun = ?", now.UnixMicro(), l.run)
	return err
}

func putContacts(ctx context.Context, tx *sql.Tx, contacts []visitor.Contact) (err error) {
	if len(contacts) == 0 {
		return nil
	}
	insert, err := tx.PrepareContext(ctx, "insert into contacts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	for i := range contacts {
		c := &contacts[i]
		var local any // of UDP it is not known
		if a := c.Local.Addr().Unmap(); a.IsValid() && !a.IsUnspecified() {
			local = a.AsSlice()
		}
		if _, err := insert.ExecContext(ctx, c.Begun.UnixMicro(), c.Ended.UnixMicro(), c.Remote.Addr().Unmap().AsSlice(),
			c.Remote.Port(), string(c.Transport), local, c.Local.Port(), strings.Join(c.Said, " "), reasonOf(c.End), c.Interface); err != nil {
			return err
		}
	}
	return nil
}

// reasonOf gives why a connection ended in words that hold nothing of the peer's.
func reasonOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, io.EOF):
		return "closed by the peer"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer"
	}
	return err.Error()
}

func (c *sweepChange) put(ctx context.Context, tx *sql.Tx) error {
	if s := c.begins; s != nil {
		_, err := tx.ExecContext(ctx, "insert into sweeps values (?, ?, null, ?, ?, ?, ?, ?, 0, 0, '', ?)",
			c.id, c.at.UnixMicro(), s.Method, s.Transport, s.Addrs, s.Ports, s.Sources, s.Interface)
		return err
	}
	_, err := tx.ExecContext(ctx, "update sweeps set ended = ?, targets = ?, tries = ?, why = ? where id = ?",
		c.at.UnixMicro(), int64(c.end.Targets), int64(c.end.Tries), c.end.Why, c.id) //nolint:gosec // far below 2^63
	return err
}

func putGap(ctx context.Context, db execer, at time.Time, lost int, why string) error {
	_, err := db.ExecContext(ctx, "insert into gaps values (?, ?, ?)", at.UnixMicro(), lost, why)
	return err
}

// An execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}
