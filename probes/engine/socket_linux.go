package engine

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A socket is what TCP and UDP connections of an epoll loop have in common.
type socket struct {
	l     *epollLoop
	p     protocol // what it is part of
	h     Handler
	d     Dial
	timer timer
	err   error // to be told by Ended, when nothing is left to be read
	local netip.AddrPort

	todoNext           *socket // in epollLoop.todo
	waitNext, waitPrev *socket // in one of the waitLists
	waitIn             *waitList

	fd     int32 // of states opening and open
	slot   int32
	state  state
	inTodo bool
}

// A protocol is what TCP and UDP do differently.
type protocol interface {
	begin() error        // opens the descriptor and starts; the loop watches it then
	event(events uint32) // of epoll
	resume()             // what was put off to the end of the turn
	expirer              // the socket's timer
	flush()              // a last attempt to send what is queued
}

type state uint8

const (
	stateWaiting state = iota // no descriptor yet
	stateOpening
	stateOpen
	stateClosed
)

// Open implements [Loop].
func (l *epollLoop) Open(d Dial, h Handler) Conn {
	d.Remote = netip.AddrPortFrom(d.Remote.Addr().Unmap(), d.Remote.Port())
	switch d.Network {
	case "tcp":
		c := &tcpConn{}
		l.admit(&c.socket, c, d, h)
		return c
	case "udp":
		c := &udpConn{}
		l.admit(&c.socket, c, d, h)
		return c
	}
	c := &tcpConn{}
	c.set(l, c, d, h)
	c.fail(net.UnknownNetworkError(d.Network))
	return c
}

func (s *socket) set(l *epollLoop, p protocol, d Dial, h Handler) {
	s.l, s.p, s.d, s.h, s.fd = l, p, d, h, -1
	s.timer.prepare(&l.wheel, p)
}

// admit starts a connection, or lets it wait behind those that wait already.
func (l *epollLoop) admit(s *socket, p protocol, d Dial, h Handler) {
	s.set(l, p, d, h)
	err := d.check()
	switch {
	case l.closing:
		s.fail(errClosed)
	case err != nil:
		s.fail(err)
	case l.portless[d.Remote] > 0:
		l.wait(&l.ports, s)
	case l.waits.first != nil:
		l.wait(&l.waits, s)
	default:
		l.put(s, l.try(s))
	}
}

// try starts a connection for which nobody else waits longer. It says what is
// short, if that is why it did not begin.
func (l *epollLoop) try(s *socket) shortage {
	if !l.pool.acquire(l.now) {
		return shortOfFiles
	}
	err := s.p.begin()
	if err == nil {
		err = l.watch(s)
	}
	if err == nil {
		return enough
	}
	if s.fd >= 0 {
		unix.Close(int(s.fd))
		s.fd = -1
	}
	s.state = stateWaiting
	s.timer.stop()
	what := shortageOf(err, &s.d)
	if what == enough {
		l.pool.release()
		l.freed = true
		s.fail(err)
		return enough
	}
	l.pool.refused(what, err, l.now)
	return what
}

// later has resume called in this turn, or in the next if this one is past it.
func (s *socket) later() { s.l.todo.add(s) }

// fail ends a connection that could not begin; its handler is told later.
func (s *socket) fail(err error) {
	s.err = err
	s.later()
}

// close gives everything back. Nothing is told any more.
func (s *socket) close() {
	if s.state == stateClosed {
		return
	}
	s.state = stateClosed
	s.timer.stop()
	s.l.unwait(s)
	if s.fd < 0 {
		return
	}
	s.l.unwatch(s)
	unix.Close(int(s.fd)) // sends what is queued in the kernel, then FIN
	s.fd = -1
	s.l.pool.release()
	s.l.freed = true
}

// end closes and tells why.
func (s *socket) end(err error) {
	if s.state == stateClosed {
		return
	}
	s.close()
	s.h.Ended(err)
}

// Close implements [Conn]. What the kernel takes of what was sent goes out.
func (s *socket) Close() {
	if s.state == stateOpen {
		s.p.flush()
	}
	s.close()
}

// Local implements [Conn].
func (s *socket) Local() netip.AddrPort {
	if !s.local.IsValid() && s.fd >= 0 {
		s.local = localOf(int(s.fd))
	}
	return s.local
}

// shortageOf says what a socket could not be had for. EADDRNOTAVAIL has two
// meanings: no local port is free towards that address, which passes, or this
// machine has no address from which to reach it, which is an answer.
func shortageOf(err error, d *Dial) shortage {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return shortOfFiles
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOSPC):
		return shortOfBuffers
	case d.SourcePort != 0: // it is that port or none
		return enough
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EADDRINUSE):
		return shortOfPorts
	case errors.Is(err, unix.EADDRNOTAVAIL) && hasSource(d.Remote):
		return shortOfPorts
	}
	return enough
}
