//go:build !linux

package engine

import (
	"errors"
	"fmt"
	"syscall"
)

// errUnbound is for systems on which a socket is not bound to an interface.
var errUnbound = fmt.Errorf("bind socket to interface: %w", errors.ErrUnsupported)

// onInterface refuses.
func onInterface(string) func(network, address string, c syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error { return errUnbound }
}

// MayBind says why sockets cannot be bound to an interface by this program, nil
// if they can.
func MayBind() error { return errUnbound }
