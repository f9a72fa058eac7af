package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sonde/capture/link"
)

// mayCapture says whether this process may open packet sockets, by opening one
// that receives nothing.
func mayCapture() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	switch err {
	case nil:
		return unix.Close(fd)
	case unix.EPERM, unix.EACCES:
		return link.ErrNoPermission
	default:
		return fmt.Errorf("open packet socket: %w", err)
	}
}
