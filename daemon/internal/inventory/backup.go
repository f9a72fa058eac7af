package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sonde/daemon/internal/sqlfile"
)

// backupPath is where the store at path is kept as it was with an older schema,
// so that whoever goes back to the program of that time has it.
func backupPath(path string, schema int) string { return fmt.Sprintf("%s.schema%d", path, schema) }

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// Size is how many bytes of the store hold something: a backup takes no more.
func (r *Reader) Size(ctx context.Context) (n int64, err error) {
	if err = r.db.QueryRowContext(ctx, usedSQL).Scan(&n); err != nil {
		return 0, fmt.Errorf("size of the store: %w", err)
	}
	return n, nil
}

// Backup writes the store as it is now to a new file, which is checked wholly. A
// daemon that writes to the store meanwhile is not held up. A backup that was cut
// short has the name with ".part" behind.
func (r *Reader) Backup(ctx context.Context, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("backup to %s: %w; name another file, or remove it", to, fs.ErrExist)
	}
	c, err := r.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("backup to %s: %w", to, err)
	}
	// Of this connection, which is not used again, alone: it writes to the backup.
	_, err = c.ExecContext(ctx, "pragma query_only(off)")
	if err == nil {
		err = backup(ctx, c, to)
	}
	_, off := c.ExecContext(context.WithoutCancel(ctx), "pragma query_only(on)")
	if err := errors.Join(err, off, c.Close()); err != nil {
		return fmt.Errorf("backup to %s: %w", to, err)
	}
	return nil
}

// backup writes the database to a file that replaces an older one of that name
// only when it is whole, checked and on disk.
func backup(ctx context.Context, c *sql.Conn, to string) (err error) {
	part := to + ".part"
	if err := removeIfThere(part); err != nil {
		return err
	}
	if err := sqlfile.Touch(part); err != nil { // with our mode
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if _, err := c.ExecContext(ctx, "vacuum into ?", part); err != nil {
		return err
	}
	if err := checkFile(ctx, part); err != nil {
		return fmt.Errorf("check it: %w", err)
	}
	if err := syncFile(part); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// checkFile checks a store that nobody writes to, wholly.
func checkFile(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", sqlfile.DSN(path, "ro")+"&immutable=1")
	if err != nil {
		return err
	}
	c, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(checkAll(ctx, c), c.Close())
	}
	return errors.Join(err, db.Close())
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
