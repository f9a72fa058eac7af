//go:build unix

package control

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// tryLock takes the lock of a file, or says that another process has it. The
// system gives it back when the process ends, however it ends.
func tryLock(f *os.File) (taken bool, err error) {
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, os.NewSyscallError("flock", err)
		}
	}
}

// shut has the file that a socket is bound to begin with no permissions for
// others than its owner. Linux takes the mode from the socket; elsewhere the
// umask alone holds for the instant until the mode is set.
func shut(c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
}

// groupOf gives the group that a file belongs to.
func groupOf(st fs.FileInfo) (gid uint32, ok bool) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Gid, true
}
