package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Reasons why a store does not open, for errors.Is.
var (
	ErrInUse       = errors.New("in use")
	ErrNotWritable = errors.New("not writable")
	ErrCorrupt     = errors.New("damaged")
	ErrForeign     = errors.New("it belongs to another program") // is ErrCorrupt, too
	ErrNewerSchema = errors.New("written by a newer sonde")
	ErrNoStore     = errors.New("no store there")
)

// An OpenError says why a store did not open, and what to do about it, in one
// line.
type OpenError struct {
	Path   string // the state directory or the file in it
	Remedy string
	Err    error // one of the reasons above, or what the system said
}

// Error implements error.
func (e *OpenError) Error() string {
	s := fmt.Sprintf("open store %s: %v", e.Path, e.Err)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return strings.ReplaceAll(s, "\n", " ")
}

// Unwrap gives the reason.
func (e *OpenError) Unwrap() error { return e.Err }

// What the operator can do.
const (
	remedyInUse   = "stop it first, or give this one another state directory"
	remedyWrite   = "give the user that runs sonde write permission there, or set another state directory"
	remedyCorrupt = "restore a backup with 'sonde restore FILE', or move it away with its -wal file and start again"
	remedyNewer   = "run that sonde, or go back with 'sonde restore FILE' and a backup made before the upgrade"
	remedyNone    = "start the daemon first, or name the right state directory"
	remedyDevice  = "look at the disk, its file system and the kernel's log"
	remedyFull    = "free some space on that file system"
)

// openError finds the reason behind an error of the system or of SQLite.
func openError(path string, err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*OpenError](err); done {
		return err
	}
	e := &OpenError{Path: path, Err: err}
	switch reason := reasonOf(err); reason {
	case nil:
	case ErrNotWritable: //nolint:errorlint // reasonOf gives bare sentinels
		e.Err, e.Remedy = fmt.Errorf("%w: %w", reason, err), remedyWrite
	case ErrCorrupt:
		e.Remedy = remedyCorrupt
		if !errors.Is(err, ErrCorrupt) {
			e.Err = fmt.Errorf("%w: %w", reason, err)
		}
	case ErrDevice:
		e.Remedy = remedyDevice
	case ErrNewerSchema:
		e.Remedy = remedyNewer
		if was := backupPath(path, schemaVersion); isFile(was) {
			e.Remedy += ", " + was
		}
	case ErrNoStore:
		e.Err, e.Remedy = fmt.Errorf("%w: %w", reason, err), remedyNone
	case syscall.ENOSPC:
		e.Remedy = remedyFull
	}
	return e
}

func reasonOf(err error) error {
	var se *sqlite.Error
	switch {
	case errors.Is(err, ErrCorrupt):
		return ErrCorrupt
	case errors.Is(err, ErrDevice):
		return ErrDevice
	case errors.Is(err, ErrNewerSchema):
		return ErrNewerSchema
	case errors.As(err, &se):
		return sqliteReason(se.Code())
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS),
		errors.Is(err, syscall.ENOTDIR):
		return ErrNotWritable
	case errors.Is(err, fs.ErrNotExist):
		return ErrNoStore
	case errors.Is(err, syscall.ENOSPC):
		return syscall.ENOSPC
	default:
		return nil
	}
}

// sqliteReason reads a result code; the primary code is its low byte.
func sqliteReason(code int) error {
	switch code & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return ErrCorrupt
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return ErrNotWritable
	case sqlite3.SQLITE_FULL:
		return syscall.ENOSPC
	default:
		return nil
	}
}
