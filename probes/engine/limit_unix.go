//go:build unix

package engine

import "syscall"

// fileLimit is how many descriptors the program may hold. It raises nothing:
// that is for the program to decide, once, at its start.
func fileLimit() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return portableFiles
	}
	return uint64(l.Cur) //nolint:unconvert // signed on some systems, none being a huge number
}

// portableFiles is what every system of today allows.
const portableFiles = 1024
