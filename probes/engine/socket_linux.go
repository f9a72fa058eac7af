package engine

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// A socket is what TCP and UDP connections of an epoll loop have in common.
type socket struct {
	conn
	ep   *epollLoop
	fd   int32 // -1: none
	slot int32 // in the loop's table
}

// Open implements [Loop].
func (l *epollLoop) Open(d Dial, h Handler) Conn {
	if d.Network == "udp" {
		c := &udpConn{}
		c.socket.ep, c.fd = l, -1
		c.set(&l.core, c, d, h)
		l.admit(&c.conn)
		return c
	}
	c := &tcpConn{}
	c.socket.ep, c.fd = l, -1
	c.set(&l.core, c, d, h)
	l.admit(&c.conn)
	return c
}

// release closes what is watched. The kernel sends what it took, then FIN.
func (s *socket) release() {
	s.ep.unwatch(s)
	_ = unix.Close(int(s.fd))
	s.fd = -1
}

// discard closes what is not watched yet.
func (s *socket) discard() {
	if s.fd >= 0 {
		_ = unix.Close(int(s.fd))
		s.fd = -1
	}
}

// Local implements [Conn]. Of a UDP socket only the port is known.
func (s *socket) Local() netip.AddrPort {
	if !s.local.IsValid() && s.fd >= 0 {
		s.local = localOf(int(s.fd))
	}
	return s.local
}
