package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sonde/daemon/internal/sqlfile"
)

// beforeRestore is behind the name of a store that a restored one replaced.
const beforeRestore = ".before-restore"

// Restore puts a backup into the place of the store in dir, which must not be in
// use. The backup is checked wholly before anything is touched; what it replaces
// is kept beside it, under a name that it gives. The restored store begins a new
// epoch at now: receivers must not take its events for those that were told
// since the backup was made. Events of the backup's own time, which every
// receiver has or had, are dropped from its outbox.
func Restore(ctx context.Context, dir, from string, now time.Time) (kept string, err error) {
	path := filepath.Join(dir, FileName)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", openError(dir, err)
	}
	lock, err := lockDir(ctx, dir)
	if err != nil {
		return "", openError(dir, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	part := path + ".part"
	if err := prepareRestore(ctx, from, part, now); err != nil {
		return "", errors.Join(openError(from, err), removeIfThere(part))
	}
	if err := errors.Join(giveTo(dir, part), giveTo(dir, lock.Name())); err != nil {
		return "", openError(part, errors.Join(err, removeIfThere(part)))
	}
	if kept, err = setAside(ctx, path, path+beforeRestore); err != nil {
		return "", openError(path, errors.Join(err, removeIfThere(part)))
	}
	if err := os.Rename(part, path); err != nil {
		return kept, openError(path, err)
	}
	return kept, openError(path, syncDir(dir))
}

// prepareRestore makes a whole and checked copy of the backup, in a new epoch.
func prepareRestore(ctx context.Context, from, part string, now time.Time) error {
	r, err := openFile(ctx, from, false)
	if err != nil {
		return err
	}
	err = r.Backup(ctx, part)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqlfile.DSN(part, "rw", "journal_mode(delete)", "synchronous(full)"))
	if err != nil {
		return err
	}
	c, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(newEpoch(ctx, c, now), c.Close())
	}
	return errors.Join(err, db.Close(), syncFile(part))
}

// newEpoch lets sequence numbers begin anew.
func newEpoch(ctx context.Context, c *sql.Conn, now time.Time) error {
	_, err := c.ExecContext(ctx, `begin immediate; delete from outbox; delete from cursors`)
	for _, m := range []struct {
		key   string
		value int64
	}{{metaEpoch, now.UnixNano()}, {metaSeq, 0}, {metaClean, 1}} {
		if err == nil {
			err = writeMeta(ctx, c, m.key, m.value)
		}
	}
	if err == nil {
		_, err = c.ExecContext(ctx, `commit`)
	}
	if err != nil {
		_, _ = c.ExecContext(ctx, `rollback`)
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	return nil
}

// setAside moves the store away, with its log, and gives its new name, or "" when
// there is none. The log goes first: a store that lacks its log is an older one,
// a log that meets another store destroys it.
func setAside(ctx context.Context, path, to string) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", removeIfThere(path + "-wal")
	}
	fold(ctx, path)
	for _, old := range []string{to, to + "-wal", path + "-shm"} {
		if err := removeIfThere(old); err != nil {
			return "", err
		}
	}
	if err := os.Rename(path+"-wal", to+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return to, os.Rename(path, to)
}

// fold writes the log into the store if that can be done: one file is easier to
// keep than two. A damaged store keeps its log.
func fold(ctx context.Context, path string) {
	db, err := sql.Open("sqlite", sqlfile.DSN(path, "rw", "busy_timeout(1000)"))
	if err != nil {
		return
	}
	_, err = db.ExecContext(ctx, "pragma wal_checkpoint(truncate)")
	_ = errors.Join(err, db.Close()) // what cannot be folded stays as it is
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SetAside moves a damaged store out of the way, so that a new one can begin. It
// gives the name that it has now; an earlier one of that name is replaced, so
// that damage cannot fill a disk.
func SetAside(ctx context.Context, dir string) (kept string, err error) {
	path := filepath.Join(dir, FileName)
	lock, err := lockDir(ctx, dir)
	if err != nil {
		return "", openError(dir, err)
	}
	kept, err = setAside(ctx, path, path+".damaged")
	return kept, openError(path, errors.Join(err, syncDir(dir), lock.Close()))
}
