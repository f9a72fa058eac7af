package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// backupPath is where the store at path is kept as it was with an older schema,
// so that whoever goes back to the program of that time has it.
func backupPath(path string, schema int) string { return fmt.Sprintf("%s.schema%d", path, schema) }

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// backup writes the database to a file that replaces an older one of that name
// only when it is whole and on disk.
func backup(ctx context.Context, c *sql.Conn, to string) (err error) {
	part := to + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := touch(part); err != nil { // with our mode
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
	if err := syncFile(part); err != nil {
		return err
	}
	return os.Rename(part, to)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
