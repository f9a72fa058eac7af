package engine

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// systemErrno gives the error of a Windows socket its name of other systems.
// Go's syscall invents numbers for those, which no call returns.
func systemErrno(e syscall.Errno) syscall.Errno {
	switch e {
	case windows.WSAECONNREFUSED:
		return syscall.ECONNREFUSED
	case windows.WSAECONNRESET:
		return syscall.ECONNRESET
	case windows.WSAECONNABORTED:
		return syscall.ECONNABORTED
	case windows.WSAETIMEDOUT:
		return syscall.ETIMEDOUT
	case windows.WSAEHOSTUNREACH:
		return syscall.EHOSTUNREACH
	case windows.WSAENETUNREACH:
		return syscall.ENETUNREACH
	case windows.WSAENETDOWN:
		return syscall.ENETDOWN
	case windows.WSAEMFILE:
		return syscall.EMFILE
	case windows.WSAENOBUFS:
		return syscall.ENOBUFS
	case windows.WSAEADDRNOTAVAIL:
		return syscall.EADDRNOTAVAIL
	case windows.WSAEADDRINUSE:
		return syscall.EADDRINUSE
	case windows.WSAEACCES:
		return syscall.EACCES
	}
	return e
}
