package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// A shortage is a resource that there is not enough of.
type shortage int

const (
	enough shortage = iota
	shortOfFiles
	shortOfPorts
	shortOfBuffers
)

func (s shortage) String() string {
	return [...]string{"nothing", "descriptors", "source ports", "buffers"}[s]
}

// What the system says when it has none left.
var (
	fileErrnos   = []syscall.Errno{syscall.EMFILE, syscall.ENFILE}
	bufferErrnos = []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC}
	portErrnos   = []syscall.Errno{syscall.EAGAIN, syscall.EADDRINUSE}
)

// shortageOf says what a socket could not be had for. EADDRNOTAVAIL has two
// meanings: no local port is free towards that address, which passes, or this
// machine has no address from which to reach it, which is an answer.
func (l *core) shortageOf(err error, d *Dial) shortage {
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case !ok:
		return enough
	case slices.Contains(fileErrnos, errno):
		return shortOfFiles
	case slices.Contains(bufferErrnos, errno):
		return shortOfBuffers
	case d.SourcePort != 0: // it is that port or none
		return enough
	case slices.Contains(portErrnos, errno):
		return shortOfPorts
	case errno == syscall.EADDRNOTAVAIL && l.hasSource(d):
		return shortOfPorts
	}
	return enough
}

// hasSource says whether this machine has an address from which to reach
// another. Connecting a UDP socket asks the routing table, and sends nothing.
func hasSource(d *Dial) bool {
	var dialer net.Dialer
	if d.Interface != "" {
		dialer.Control = onInterface(d.Interface)
	}
	c, err := dialer.DialUDP(context.Background(), "udp", netip.AddrPort{}, d.Remote)
	if err != nil {
		errno, ok := errors.AsType[syscall.Errno](err)
		return ok && (slices.Contains(fileErrnos, errno) || slices.Contains(portErrnos, errno))
	}
	_ = c.Close()
	return true
}
