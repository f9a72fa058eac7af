//go:build unix

package control

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

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
