package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Why a store that is open serves no more, for errors.Is; ErrCorrupt is one, too.
var (
	ErrRemoved  = errors.New("removed while in use")
	ErrReplaced = errors.New("replaced by another file while in use")
	ErrDevice   = errors.New("not readable or writable any more")
)

// Ailing says why the store should be closed and opened again, or gives nil: its
// file was removed or replaced, turned out to be damaged, or its device failed. A
// full disk is no reason: what could not be stored can be once there is room.
func (s *Store) Ailing() error {
	if why := s.sick.Load(); why != nil {
		return *why
	}
	now, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrRemoved
	case err == nil && !os.SameFile(now, s.file):
		return ErrReplaced
	}
	return nil
}

// noteFailure remembers an error after which nothing will go well.
func (s *Store) noteFailure(err error) {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		s.fallSick(fmt.Errorf("%w: %w", ErrCorrupt, err))
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		s.fallSick(fmt.Errorf("%w: %w", ErrDevice, err))
	}
}

func (s *Store) fallSick(why error) { s.sick.Store(&why) }

// Rescue writes what the store holds to where its file was before it was removed:
// as long as it is open the system still has all of it. It is to be closed and
// opened again then; nothing that was committed is lost, if nothing is committed
// in between.
func (s *Store) Rescue(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return os.ErrClosed
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o750); err != nil {
		return fmt.Errorf("rescue the store: %w", err)
	}
	// Its log may still have its name; it must not meet the new file.
	err := errors.Join(removeIfThere(s.path+"-wal"), removeIfThere(s.path+"-shm"))
	if err == nil {
		err = backup(ctx, s.conn, s.path)
	}
	if err != nil {
		return fmt.Errorf("rescue the store: %w", err)
	}
	s.fallSick(fmt.Errorf("%w, and written anew", ErrRemoved)) // from here on, nothing is written to the old one
	return nil
}
