package engine

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// sockaddrs is memory for the addresses that are handed to the kernel, reused
// from call to call.
type sockaddrs struct {
	v4 unix.SockaddrInet4
	v6 unix.SockaddrInet6
}

// of gives to as the kernel wants it, valid until the next call.
func (n *sockaddrs) of(to netip.AddrPort, zone uint32) unix.Sockaddr {
	if to.Addr().Is4() {
		n.v4 = unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
		return &n.v4
	}
	n.v6 = unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16(), ZoneId: zone}
	return &n.v6
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// zoneOf finds the number of the interface that an address names. It is asked
// for each time, as interfaces come and go.
func zoneOf(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n), nil
	}
	ifi, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0, fmt.Errorf("look up zone of %s: %w", a, err)
	}
	return uint32(ifi.Index), nil
}

// addrOf is the address in sa, without its zone, and the zone's number.
func addrOf(sa unix.Sockaddr) (netip.AddrPort, uint32) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), 0
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), sa.ZoneId
	}
	return netip.AddrPort{}, 0
}

// localOf is the address that a socket is bound to, the zero one if that is
// not known.
func localOf(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	a, _ := addrOf(sa)
	return a
}

// bindTo binds a socket to a port of any address of its family.
func (l *epollLoop) bindTo(fd int, remote netip.Addr, port uint16) error {
	any := netip.IPv4Unspecified()
	if remote.Is6() {
		any = netip.IPv6Unspecified()
	}
	err := unix.Bind(fd, l.names.of(netip.AddrPortFrom(any, port), 0))
	if err != nil && port != 0 {
		return fmt.Errorf("bind to source port %d: %w", port, err)
	}
	return err
}
