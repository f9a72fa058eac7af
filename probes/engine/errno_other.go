//go:build !windows

package engine

import "syscall"

// systemErrno gives an error as it is: Unix agrees on the names.
func systemErrno(e syscall.Errno) syscall.Errno { return e }
