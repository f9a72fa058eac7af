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
		errno, ok := icmpError(c.ep.oob[:n])
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
		c.rejected = append(c.rejected, rejection{errno, netip.AddrPortFrom(c.d.Remote.Addr(), to.Port())})
		c.later()
	}
}

// The layout of struct sock_extended_err (ip(7), IP_RECVERR).
const (
	extErrno  = 0
	extOrigin = 4
	extSize   = 16
)

// icmpError finds the errno of an ICMP error in the control messages of a
// read of an error queue. It reports false for errors of another origin, which
// the call that met them returned already.
func icmpError(oob []byte) (unix.Errno, bool) {
	for len(oob) > 0 {
		hdr, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0, false
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
		return errno, icmp && errno != 0
	}
	return 0, false
}
