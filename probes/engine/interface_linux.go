package engine

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindToInterface has a socket send and receive by one interface only
// (SO_BINDTODEVICE, socket(7)). Since Linux 5.7 it needs no privilege, before
// CAP_NET_RAW. Without a name it does nothing.
func bindToInterface(fd int, name string) error {
	if name == "" {
		return nil
	}
	if err := unix.BindToDevice(fd, name); err != nil {
		return fmt.Errorf("bind socket to interface %s: %w", name, err)
	}
	return nil
}

// onInterface binds the sockets of Go's net.
func onInterface(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var bound error
		err := c.Control(func(fd uintptr) { bound = bindToInterface(int(fd), name) })
		if err != nil {
			return err
		}
		return bound
	}
}

// MayBind says why sockets cannot be bound to an interface by this program, nil
// if they can. It tries it with one that each machine has.
func MayBind() error {
	const loopback = "lo"
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	return bindToInterface(fd, loopback)
}
