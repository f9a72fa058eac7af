package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// A socket is a listener on a file of a Directory. When the file is made anew,
// who accepts notices nothing. Close removes the file if it is still this one's.
type socket struct {
	path, group string

	mu     sync.Mutex // guards what follows
	l      net.Listener
	file   fs.FileInfo // as l was bound
	closed bool
}

func (s *socket) listener() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.l
}

// Addr implements net.Listener.
func (s *socket) Addr() net.Addr { return s.listener().Addr() }

// Accept implements net.Listener.
func (s *socket) Accept() (net.Conn, error) {
	for {
		l := s.listener()
		c, err := l.Accept()
		if err == nil || s.listener() == l {
			return c, err
		}
	}
}

// Close implements net.Listener.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	err := s.l.Close()
	if s.there() {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// there says whether the file is the one that was bound. The caller holds mu.
func (s *socket) there() bool {
	now, err := os.Lstat(s.path)
	return err == nil && os.SameFile(now, s.file)
}

// renew binds the socket anew if its file is gone, or another one's.
func (s *socket) renew() (renewed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.there() {
		return false, nil
	}
	l, file, err := bind(s.path, s.group)
	if err != nil {
		return false, fmt.Errorf("socket %s: %w", s.path, err)
	}
	old := s.l
	s.l, s.file = l, file
	return true, old.Close()
}

// Restore makes the directory and its sockets anew where they are gone: as when
// a file system was mounted over them, or a cleaner has removed them. It says
// whether there was something to do. After an error it may be called again.
func (d *Directory) Restore() (restored bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return false, nil // it was closed
	}
	mine, err := d.lock.Stat()
	if err != nil {
		return false, fmt.Errorf("sockets: %w", err)
	}
	if now, err := os.Stat(filepath.Join(d.path, lockFile)); err != nil || !os.SameFile(now, mine) {
		lock, err := take(d.path)
		if err != nil {
			return false, err
		}
		_ = d.lock.Close() // of a file that nobody can open any more
		d.lock, restored = lock, true
	}
	for _, s := range d.sockets {
		renewed, e := s.renew()
		restored, err = restored || renewed, errors.Join(err, e)
	}
	return restored, err
}
