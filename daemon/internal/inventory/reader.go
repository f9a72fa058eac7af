package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"sonde/daemon/internal/sqlfile"
)

// A Reader reads a store, one that is being written to or one at rest. Any
// number of goroutines may share it.
type Reader struct {
	db     *sql.DB
	copied string // directory to remove, or ""
	schema int    // of the file, which may be older than ours
	once   sync.Once
	failed error // of Close
}

// OpenReadOnly opens the store in dir for reading. It needs no permission to
// write there. While a daemon runs it sees each commit. A store at rest it
// sees as it is now: open it again to see what a daemon does that starts
// later. After a crash it reads a copy, made in the system's directory for
// temporary files, which Close removes. Its error is an [OpenError].
func OpenReadOnly(ctx context.Context, dir string) (*Reader, error) {
	path := filepath.Join(dir, FileName)
	r, err := openFile(ctx, path, true)
	if err != nil {
		return nil, openError(path, err)
	}
	return r, nil
}

// openFile opens a store for reading; inUse says that somebody may be writing to
// it, as its directory's lock tells.
func openFile(ctx context.Context, path string, inUse bool) (*Reader, error) {
	f, err := os.Open(path) // names a missing file or permission better than SQLite
	if err != nil {
		return nil, err
	}
	defer f.Close()
	wal, err := os.Stat(path + "-wal")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case inUse && locked(filepath.Dir(path)):
		return newReader(ctx, path, "")
	case err != nil || wal.Size() == 0:
		// At rest and whole. Without a log SQLite would want to begin one.
		return newReader(ctx, path, "", "immutable")
	default:
		return openCopy(ctx, path)
	}
}

// openCopy opens a copy of a store that a crash has left: only a writer can
// put the log in order, and that must not be us.
func openCopy(ctx context.Context, path string) (*Reader, error) {
	tmp, err := os.MkdirTemp("", "sonde-read-")
	if err != nil {
		return nil, err
	}
	target := filepath.Join(tmp, FileName)
	for _, suffix := range []string{"", "-wal"} {
		if err = copyFile(target+suffix, path+suffix); err != nil {
			break
		}
	}
	var r *Reader
	if err == nil {
		r, err = newReader(ctx, target, tmp, "recover")
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(tmp))
	}
	return r, nil
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// maxReaders bounds the connections of a reader; each has a cache of 2 MiB.
const maxReaders = 4

// newReader opens the file and sees whether it can be read: "immutable" when
// nobody writes to it and nothing needs recovery, "recover" when it is ours
// to put in order.
func newReader(ctx context.Context, path, copied string, how ...string) (*Reader, error) {
	name := sqlfile.DSN(path, "ro", "busy_timeout(5000)", "query_only(on)")
	for _, h := range how {
		switch h {
		case "immutable":
			name += "&immutable=1"
		case "recover":
			name = sqlfile.DSN(path, "rw", "busy_timeout(5000)")
		}
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxReaders)
	r := &Reader{db: db, copied: copied}
	var id int
	err = db.QueryRowContext(ctx, "select * from pragma_application_id, pragma_user_version").
		Scan(&id, &r.schema)
	switch {
	case err != nil:
	case id != applicationID:
		err = fmt.Errorf("%w: it holds no inventory", ErrCorrupt)
	case r.schema > schemaVersion:
		err = fmt.Errorf("%w: its schema is %d, this program knows %d",
			ErrNewerSchema, r.schema, schemaVersion)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return r, nil
}

// Close ends the reader. Later calls return what the first one did.
func (r *Reader) Close() error {
	r.once.Do(func() {
		r.failed = r.db.Close()
		if r.copied != "" {
			r.failed = errors.Join(r.failed, os.RemoveAll(r.copied))
		}
	})
	return r.failed
}
