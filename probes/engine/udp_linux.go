package engine

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A udpConn is one unconnected UDP socket of an epoll loop. Unconnected,
// because hosts answer from other ports too (TFTP, RFC 1350 section 4); so who
// answers is checked here.
type udpConn struct {
	socket
	queue    sendQueue
	sent     int         // Sends to be told of
	rejected []rejection // ICMP errors to be told of
	pause    time.Duration
	zone     uint32
	opened   bool // was told
	readable bool // there may be more than was read
}

// A rejection is one ICMP error.
type rejection struct {
	err error
	to  netip.AddrPort
}

// datagramsPerTurn bounds what one peer may say before others are heard.
const datagramsPerTurn = 32

// begin makes and binds the socket and has it watched.
func (c *udpConn) begin() error {
	err := c.bindNew()
	if err == nil {
		err = c.ep.watch(&c.socket, c)
	}
	if err != nil {
		c.discard()
		return err
	}
	c.state = stateOpen
	c.later()
	return nil
}

func (c *udpConn) bindNew() error {
	to := c.d.Remote
	var err error
	if c.zone, err = zoneOf(to.Addr()); err != nil {
		return err
	}
	if err := c.bind(); err != nil {
		return err
	}
	// Sending to a port of this machine from that very port, we would hear
	// ourselves. The next choice is made while that one is taken.
	for c.d.SourcePort == 0 && c.Local().Port() == to.Port() {
		unwanted := c.fd
		c.fd, c.local = -1, netip.AddrPort{}
		err := c.bind()
		_ = unix.Close(int(unwanted))
		if err != nil {
			return err
		}
	}
	c.Local() // stays known
	return nil
}

// bind makes one socket that tells of ICMP errors and has a port.
func (c *udpConn) bind() error {
	a := c.d.Remote.Addr()
	fd, err := unix.Socket(family(a), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.fd = int32(fd)
	if err := bindToInterface(fd, c.d.Interface); err != nil {
		return err
	}
	if a.Is6() {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	if err := tellICMP(fd, a, true); err != nil {
		return err
	}
	// Bound now and not by the first send, so that a want of ports is met
	// where it can be waited for.
	return c.ep.bindTo(fd, a, c.d.SourcePort)
}

// event takes what epoll tells.
func (c *udpConn) event(events uint32) {
	if events&unix.EPOLLERR != 0 {
		c.takeErrors()
	}
	if events&(unix.EPOLLIN|unix.EPOLLERR) != 0 {
		c.readable = true
	}
	if !c.opened {
		c.later()
		return
	}
	c.tellRejected()
	if c.readable {
		c.read()
	}
	if c.state == stateOpen && events&unix.EPOLLOUT != 0 {
		c.transmit()
	}
}

// resume does what was put off.
func (c *udpConn) resume() {
	if c.err != nil {
		c.end(c.err)
		return
	}
	if !c.opened {
		c.opened = true
		c.h.Opened(0)
		c.transmit()
	}
	for c.sent > 0 && c.state == stateOpen {
		c.sent--
		c.h.Sent()
	}
	c.tellRejected()
	if c.readable {
		c.read()
	}
}

func (c *udpConn) tellRejected() {
	for i := 0; i < len(c.rejected) && c.state == stateOpen; i++ {
		r := c.rejected[i]
		c.h.Rejected(r.err, r.to)
	}
	c.rejected = c.rejected[:0]
}

// read tells the datagrams that came, a turn's worth of them.
func (c *udpConn) read() {
	for range datagramsPerTurn {
		if c.state != stateOpen {
			return
		}
		buf := c.ep.buf
		n, sa, err := unix.Recvfrom(int(c.fd), buf, unix.MSG_DONTWAIT)
		switch err {
		case nil:
			c.receive(buf[:n], sa)
		case unix.EAGAIN:
			c.readable = false
			return
		case unix.EINTR:
		default: // an ICMP error, of which the error queue says more
			c.takeErrors()
			c.tellRejected()
		}
	}
	c.readable = true
	c.later()
}

// receive tells of a datagram, if it is of the host that was asked.
func (c *udpConn) receive(b []byte, sa unix.Sockaddr) {
	from, zone := addrOf(sa)
	if !sameHost(from.Addr(), c.d.Remote.Addr(), zone, c.zone) {
		c.l.pool.foreign.Add(1)
		return
	}
	c.h.Received(b, netip.AddrPortFrom(c.d.Remote.Addr(), from.Port()))
}

// Send implements [Conn].
func (c *udpConn) Send(b []byte) {
	if c.state == stateClosed || c.err != nil {
		return
	}
	waits := !c.queue.empty()
	c.queue.push(b)
	if c.opened && !waits {
		c.transmit()
	}
}

// shut sends what there are buffers for of what is queued, and closes.
func (c *udpConn) shut() {
	c.transmit()
	c.release()
}

// expired: there may be a buffer now.
func (c *udpConn) expired() { c.transmit() }

// transmit sends what is queued, as far as there are buffers.
func (c *udpConn) transmit() {
	for c.state == stateOpen && !c.queue.empty() {
		err := c.sendOne(c.queue.head())
		switch {
		case err == nil:
			c.queue.advance(len(c.queue.head()))
			c.pause = 0
			c.sent++
			c.later()
		case wantsBuffer(err):
			c.l.pool.count(shortOfBuffers)
			c.pause = min(max(sendPauseMin, 2*c.pause), sendPauseMax)
			c.timer.set(c.l.elapsed() + c.pause)
			return
		default:
			c.queue.clear()
			c.fail(err)
			return
		}
	}
}

// wantsBuffer says whether a datagram could not be sent now, and will be later.
func wantsBuffer(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)
}

// sendOne sends one datagram. An ICMP error that came for an earlier one fails
// the next send, to whomever it goes, so the error queue is emptied before, and
// should one come in between, the datagram is sent once more.
func (c *udpConn) sendOne(b []byte) error {
	c.takeErrors()
	err := c.sendTo(b)
	if wantsBuffer(err) {
		return err
	}
	c.takeErrors()
	if err == nil {
		return nil
	}
	return c.sendTo(b)
}

func (c *udpConn) sendTo(b []byte) error {
	for {
		err := unix.Sendto(int(c.fd), b, unix.MSG_DONTWAIT, c.ep.names.of(c.d.Remote, c.zone))
		if err != unix.EINTR {
			return err
		}
	}
}
