package capture

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// What the errors of Winsock mean for discovery; see errno_unix.go.
var (
	refusedErrnos     = []syscall.Errno{windows.WSAECONNREFUSED, windows.WSAECONNRESET}
	timeoutErrnos     = []syscall.Errno{windows.WSAETIMEDOUT}
	unreachableErrnos = []syscall.Errno{windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEHOSTDOWN,
		windows.WSAENETDOWN, windows.WSAEAFNOSUPPORT}
	starvedErrnos = []syscall.Errno{windows.WSAEMFILE, windows.WSAENOBUFS, windows.WSAEWOULDBLOCK}
)

// addrNotAvail has two meanings; see canRoute.
const addrNotAvail = windows.WSAEADDRNOTAVAIL
