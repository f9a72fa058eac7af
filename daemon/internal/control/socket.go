package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"sonde/daemon/internal/filelock"
)

// lockFile says, by its lock, which process has the sockets of a directory.
const lockFile = "control.lock"

// maxSocketPath is what fits into sun_path (unix(7)) on each system, without its
// terminating zero: 108 bytes on Linux, 104 on the BSDs.
const maxSocketPath = 103

// socketMode lets owner and group connect.
const socketMode = 0o660

// ErrInUse says that another daemon has the sockets.
var ErrInUse = errors.New("another sonde has the sockets there")

// A Directory is where this process, and no other, has its sockets. What an
// earlier one left there is replaced.
type Directory struct {
	path string

	mu      sync.Mutex // guards what follows
	lock    *os.File   // nil after Close
	sockets []*socket
}

// OpenDirectory makes a directory this process's own, which it makes if it is
// not there. It fails with ErrInUse when another daemon has it.
func OpenDirectory(path string) (*Directory, error) {
	lock, err := take(path)
	if err != nil {
		return nil, err
	}
	return &Directory{path: path, lock: lock}, nil
}

// take makes the directory if it is not there, and locks it.
func take(path string) (lock *os.File, err error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("sockets: %w; set control.directory", err)
	}
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sockets: %w; set control.directory, or let the user that runs sonde write there", err)
	}
	taken, err := filelock.Try(f, true)
	if err == nil && !taken {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sockets in %s: %w; stop it first, or set another control.directory", path, err), f.Close())
	}
	return f, nil
}

// Close lets others have the directory. Its sockets are closed before.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

// Listen opens a socket in the directory that its owner and a group may open:
// the group by name or number, "" for the process's own. Closing the listener
// removes the file.
func (d *Directory) Listen(name, group string) (net.Listener, error) {
	path := filepath.Join(d.path, name)
	l, file, err := bind(path, group)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	s := &socket{path: path, group: group, l: l, file: file}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sockets = append(d.sockets, s)
	return s, nil
}

// bind listens on a file, which it makes, and gives what the file is. Closing the
// listener leaves the file.
func bind(path, group string) (net.Listener, fs.FileInfo, error) {
	if len(path) > maxSocketPath {
		return nil, nil, fmt.Errorf("the path has more than %d bytes, which no system takes; set control.directory", maxSocketPath)
	}
	gid, err := groupID(group)
	if err != nil {
		return nil, nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, nil, err
	}
	// Nobody else may open it before its group is set.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return shut(c) }}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err = give(path, gid); err != nil {
		err = fmt.Errorf("%w; let the user that runs sonde belong to the group %s, or have systemd open the socket", err, group)
	} else {
		err = os.Chmod(path, socketMode)
	}
	var file fs.FileInfo
	if err == nil {
		file, err = os.Lstat(path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close(), os.Remove(path))
	}
	return l, file, nil
}

// give gives a file to a group, unless that is -1. Where it has it already, no
// call is made that a service may be forbidden.
func give(path string, gid int) error {
	st, err := os.Stat(path)
	if err != nil || gid < 0 {
		return err
	}
	if has, ok := groupOf(st); ok && int64(has) == int64(gid) {
		return nil
	}
	return os.Chown(path, -1, gid)
}

// removeStale removes the socket that a daemon left which was killed: the lock
// says that none is running.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSocket:
		return errors.New("is there and is no socket; move it away")
	}
	return os.Remove(path)
}

// groupID gives the number of a group, -1 for "".
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(group); err == nil {
		return n, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("%w; make it, or name another in control.read_group and control.act_group", err)
	}
	return strconv.Atoi(g.Gid)
}
