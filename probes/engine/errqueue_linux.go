package engine

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// errorsPerTurn bounds how much of an error queue is read at once: whoever
// sends ICMP errors as fast as they are read must not keep us.
const errorsPerTurn = 32

// takeErrors empties the socket's error queue into c.rejected.
func (c *udpConn) takeErrors() {
	const flags = unix.MSG_ERRQUEUE | unix.MSG_DONTWAIT
	for range errorsPerTurn {
		_, n, _, sa, err := unix.Recvmsg(int(c.fd), c.ep.scrap[:], c.ep.oob[:], flags)
		if err == unix.EINTR {
			continue
		}
		if err != nil { // EAGAIN: it is empty
			return
		}
		told, ok := icmpError(c.ep.oob[:n])
		if !ok {
			continue
		}
		to, zone := addrOf(sa)
		// The kernel finds the socket by our port alone, so that an ICMP error
		// may be about a datagram that was never sent.
		if to.Port() != c.d.Remote.Port() ||
			!sameHost(to.Addr(), c.d.Remote.Addr(), zone, c.zone) {
			c.l.pool.foreign.Add(1)
			continue
		}
		c.rejected = append(c.rejected, rejection{told.errno, netip.AddrPortFrom(c.d.Remote.Addr(), to.Port())})
		c.later()
	}
}

// tellICMP has the kernel queue ICMP errors of a socket.
func tellICMP(fd int, to netip.Addr, on bool) error {
	level, option, value := unix.IPPROTO_IP, unix.IP_RECVERR, 0
	if to.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	if on {
		value = 1
	}
	return unix.SetsockoptInt(fd, level, option, value)
}

// icmpOf names the ICMP message behind the error of a TCP connect, if it was
// one: a RST and a packet filter's "port unreachable" are both ECONNREFUSED.
func (l *epollLoop) icmpOf(fd int, errno unix.Errno) error {
	_, n, _, _, err := unix.Recvmsg(fd, l.scrap[:], l.oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil { // EAGAIN: the queue is empty
		return errno
	}
	if told, ok := icmpError(l.oob[:n]); ok {
		return &ICMPError{Err: told.errno, Type: told.kind, Code: told.code}
	}
	return errno
}

// The layout of struct sock_extended_err (ip(7), IP_RECVERR).
const (
	extErrno  = 0
	extOrigin = 4
	extType   = 5
	extCode   = 6
	extSize   = 16
)

// An icmpMessage is what an error queue holds of an ICMP error.
type icmpMessage struct {
	errno      unix.Errno
	kind, code uint8
}

// icmpError finds an ICMP error in the control messages of a
// read of an error queue. It reports false for errors of another origin, which
// the call that met them returned already.
func icmpError(oob []byte) (icmpMessage, bool) {
	for len(oob) > 0 {
		hdr, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return icmpMessage{}, false
		}
		oob = rest
		v4 := hdr.Level == unix.IPPROTO_IP && hdr.Type == unix.IP_RECVERR
		v6 := hdr.Level == unix.IPPROTO_IPV6 && hdr.Type == unix.IPV6_RECVERR
		if !v4 && !v6 || len(data) < extSize {
			continue
		}
		origin := data[extOrigin]
		errno := unix.Errno(binary.NativeEndian.Uint32(data[extErrno:]))
		icmp := origin == unix.SO_EE_ORIGIN_ICMP || origin == unix.SO_EE_ORIGIN_ICMP6
		return icmpMessage{errno, data[extType], data[extCode]}, icmp && errno != 0
	}
	return icmpMessage{}, false
}
