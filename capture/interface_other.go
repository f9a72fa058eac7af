//go:build !linux

package capture

import (
	"errors"
	"fmt"
	"syscall"
)

// onInterface refuses all sockets, unless the name is empty: then it is nil.
func onInterface(name string) func(network, address string, c syscall.RawConn) error {
	if name == "" {
		return nil
	}
	return func(string, string, syscall.RawConn) error {
		return fmt.Errorf("bind socket to interface %s: %w", name, errors.ErrUnsupported)
	}
}
