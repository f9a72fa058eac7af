//go:build unix

package capture

import (
	"fmt"
	"syscall"
)

// RaiseFileLimit lets the process open as many files and sockets as it is
// allowed to, and gives that number. On an error it gives the number that
// holds.
func RaiseFileLimit() (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	if l.Cur >= l.Max {
		return uint64(l.Cur), nil
	}
	before := l.Cur
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return uint64(before), fmt.Errorf("raise the limit of open files to %d: %w", l.Max, err)
	}
	return uint64(l.Cur), nil
}
