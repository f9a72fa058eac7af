package capture

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// onInterface has sockets of Go's net send and receive by one interface only
// (SO_BINDTODEVICE, socket(7)). Without a name it is nil.
func onInterface(name string) func(network, address string, c syscall.RawConn) error {
	if name == "" {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var bound error
		if err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), name) }); err != nil {
			return err
		}
		if bound != nil {
			return fmt.Errorf("bind socket to interface %s: %w", name, bound)
		}
		return nil
	}
}
