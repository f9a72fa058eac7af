//go:build unix

package capture

import "syscall"

// What the errors of connect(2), send(2) and recv(2) mean for discovery.
var (
	// An answer: RST, or ICMP port or protocol unreachable.
	refusedErrnos = []syscall.Errno{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ENOPROTOOPT}

	timeoutErrnos = []syscall.Errno{syscall.ETIMEDOUT}

	// The path: ICMP host or network unreachable or prohibited, no route, an
	// unresolved neighbour on the link, an interface that is down.
	unreachableErrnos = []syscall.Errno{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN,
		syscall.ENETDOWN, syscall.EAFNOSUPPORT}

	// Want of local resources, which passes: descriptors, buffers, memory,
	// entries of the neighbour table. EAGAIN of connect means no local port.
	starvedErrnos = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN}
)

// addrNotAvail has two meanings; see canRoute.
const addrNotAvail = syscall.EADDRNOTAVAIL
