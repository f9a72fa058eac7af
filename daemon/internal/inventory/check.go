package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	sqlite3 "modernc.org/sqlite/lib"
)

// quickCheck looks for damage of the file's structure, at about 500 MiB per
// second: what an unclean end could have left.
func quickCheck(ctx context.Context, c *sql.Conn) error {
	return checkWith(ctx, c, "pragma quick_check(1)")
}

// checkAll also holds indexes against tables and references against what they
// refer to. It takes minutes for a store of a million services.
func checkAll(ctx context.Context, c *sql.Conn) error {
	if err := checkWith(ctx, c, "pragma integrity_check(1)"); err != nil {
		return err
	}
	var n int
	if err := c.QueryRowContext(ctx, "select count(*) from pragma_foreign_key_check").Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%w: %d rows refer to nothing", ErrCorrupt, n)
	}
	return nil
}

func checkWith(ctx context.Context, c *sql.Conn, pragma string) error {
	var result string
	if err := c.QueryRowContext(ctx, pragma).Scan(&result); err != nil {
		return err
	}
	switch code := errorCode.FindStringSubmatch(result); {
	case result == "ok":
		return nil
	case code != nil && isDevice(code[1]):
		// The page may be as good as ever: nobody could read it.
		return fmt.Errorf("%w: %s", ErrDevice, result)
	default:
		return fmt.Errorf("%w: %s", ErrCorrupt, result)
	}
}

// errorCode finds what SQLite's checks say of a page that they could not read.
var errorCode = regexp.MustCompile(`error code=([0-9]{1,9})`)

func isDevice(code string) bool {
	n, err := strconv.Atoi(code)
	return err == nil && n&0xff == sqlite3.SQLITE_IOERR
}

// A Report is what a check found in a store that is whole.
type Report struct {
	Path      string
	Schema    int
	Endpoints int
	Events    int // in its outbox
	Epoch     int64
}

// Check reads all of a store and holds its indexes against its tables: of a state
// directory, or of a backup. A daemon may go on writing meanwhile. Its error is an
// [OpenError], which says so where the store is damaged.
func Check(ctx context.Context, path string) (Report, error) {
	dir := false
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		path, dir = filepath.Join(path, FileName), true
	}
	rep := Report{Path: path}
	r, err := openFile(ctx, path, dir)
	if err != nil {
		return rep, openError(path, err)
	}
	err = r.check(ctx, &rep)
	return rep, openError(path, errors.Join(err, r.Close()))
}

func (r *Reader) check(ctx context.Context, rep *Report) error {
	c, err := r.db.Conn(ctx)
	if err != nil {
		return err
	}
	rep.Schema = r.schema
	err = checkAll(ctx, c)
	if err == nil {
		err = c.QueryRowContext(ctx, `select (select count(*) from endpoints), (select count(*) from outbox),
			coalesce((select value from meta where key = ?), 0)`, metaEpoch).Scan(&rep.Endpoints, &rep.Events, &rep.Epoch)
	}
	return errors.Join(err, c.Close())
}
