package control

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerOf tells which user connected (SO_PEERCRED of unix(7)).
func peerOf(c *net.UnixConn) string {
	who := unknownPeer
	raw, err := c.SyscallConn()
	if err != nil {
		return who
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who = fmt.Sprintf("uid %d", cred.Uid)
		}
	})
	return who
}
