package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// What no system call would refuse with a clear error.
var (
	errNoRemote  = errors.New("no remote address")
	errNoTimeout = errors.New("no timeout")
)

// check finds mistakes of the caller.
func (d *Dial) check() error {
	switch {
	case d.Network != "tcp" && d.Network != "udp":
		return net.UnknownNetworkError(d.Network)
	case !d.Remote.IsValid():
		return fmt.Errorf("open %s socket: %w", d.Network, errNoRemote)
	case d.Network == "tcp" && d.Timeout <= 0:
		return fmt.Errorf("connect to %s: %w", d.Remote, errNoTimeout)
	}
	return nil
}

// isSelf says whether a connection goes to the very socket that it comes from.
func isSelf(local, remote netip.AddrPort) bool {
	return local.Port() == remote.Port() &&
		local.Addr().Unmap().WithZone("") == remote.Addr().WithZone("")
}

// sameHost says whether two addresses are of one host; zone is the number of
// from's interface, wanted that of remote's.
func sameHost(from, remote netip.Addr, zone, wanted uint32) bool {
	return from == remote.WithZone("") && (wanted == 0 || zone == wanted)
}
