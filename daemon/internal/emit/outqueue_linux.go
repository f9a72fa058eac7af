package emit

import (
	"crypto/tls"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged gives how many bytes of a TCP connection the other machine has
// not acknowledged yet, and whether the kernel tells that.
func unacknowledged(c net.Conn) (bytes int, known bool) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		bytes, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	return bytes, err == nil && failed == nil
}
