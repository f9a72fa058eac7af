package sent

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// forget removes what is older than is kept, some of it each time, so that no
// write waits for long.
func (l *Log) forget(ctx context.Context) error {
	now := l.cfg.Now()
	if now.Sub(l.pruned) < pruneEvery {
		return nil
	}
	before := now.Add(-l.cfg.KeepFor).UnixMicro()
	var oldest sql.NullInt64
	if err := l.db.QueryRowContext(ctx, "select ended from contacts order by rowid limit 1").Scan(&oldest); err != nil &&
		!errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if oldest.Valid && oldest.Int64 < before {
		if err := l.remove(ctx, pruneAtOnce, before); err != nil {
			return err
		}
	} else {
		l.pruned = now // all is done until then
	}
	for _, stale := range []string{
		"delete from sweeps where coalesce(ended, begun) < ?",
		"delete from gaps where at < ?",
		"delete from runs where alive < ?",
	} {
		if _, err := l.db.ExecContext(ctx, stale, before); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom removes the oldest eighth of the contacts, or where there are none,
// of the sweeps.
func (l *Log) makeRoom(ctx context.Context) error {
	var contacts, sweeps int64
	if err := l.db.QueryRowContext(ctx, "select (select count(*) from contacts), (select count(*) from sweeps)").
		Scan(&contacts, &sweeps); err != nil {
		return err
	}
	if contacts > 0 {
		return l.remove(ctx, contacts/8+1, l.cfg.Now().Add(time.Hour).UnixMicro())
	}
	_, err := l.db.ExecContext(ctx, "delete from sweeps where id in (select id from sweeps order by id limit ?)", sweeps/8+1)
	return err
}

// remove removes up to so many of the oldest contacts that ended before then,
// and notes up to when there are none any more.
func (l *Log) remove(ctx context.Context, most, before int64) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	const oldest = "from contacts where rowid in (select rowid from contacts order by rowid limit ?) and ended < ?"
	if _, err = tx.ExecContext(ctx, "insert into pruned select 1, coalesce(max(ended), 0) "+oldest+
		" on conflict (one) do update set until = max(until, excluded.until)", most, before); err == nil {
		_, err = tx.ExecContext(ctx, "delete "+oldest, most, before)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// gap notes one outside a batch.
func (l *Log) gap(ctx context.Context, lost int, why string) error {
	return putGap(ctx, l.db, l.cfg.Now(), lost, why)
}

// unfit says why the file can be written to no more, "" if it can, as far as a
// look that costs nothing tells.
func (l *Log) unfit(err error) string {
	if l.shut != "" {
		return l.shut
	}
	if broken(err) {
		return "the log was damaged: " + err.Error()
	}
	if _, err := os.Stat(l.cfg.Path); errors.Is(err, fs.ErrNotExist) {
		return "the log was removed"
	}
	return ""
}

// mend begins the log anew. Where that fails it is tried again with each flush.
func (l *Log) mend(ctx context.Context, why string) error {
	if l.shut == "" {
		l.cfg.Log.Warn("log of what was sent begins anew", "reason", why)
		l.shut = why
		if err := l.db.Close(); err != nil {
			l.cfg.Log.Warn("log of what was sent closed with an error", "err", err)
		}
	}
	if err := l.anew(ctx); err != nil {
		return err
	}
	l.shut = ""
	return l.gap(ctx, 0, why)
}

// anew removes the file and opens another.
func (l *Log) anew(ctx context.Context) error {
	for _, name := range []string{l.cfg.Path, l.cfg.Path + "-wal", l.cfg.Path + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return l.open(ctx)
}

// full says whether the file has reached its bound, or the disk its end.
func full(err error) bool { return code(err) == sqlite3.SQLITE_FULL }

// broken says whether the file is damaged, or no database.
func broken(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB
}

// code is the primary result code of SQLite behind an error.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return sqlite3.SQLITE_OK
}
