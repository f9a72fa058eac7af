package engine

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A tcpConn is one TCP connection of an epoll loop.
type tcpConn struct {
	socket
	began    time.Duration // when the SYN was sent
	queue    sendQueue
	sent     int   // Sends to be told of
	broken   error // of a write; what came before it is still read
	wrote    int8  // writes so far, up to 2
	readable bool  // there may be more than was read
	hung     bool  // there is an end, or an error, behind the bytes
}

// readsPerTurn bounds what one peer may say before others are heard: 256 KiB.
const readsPerTurn = 4

// begin sends the SYN and has the socket watched.
func (c *tcpConn) begin() error {
	err := c.connect()
	if err == nil {
		err = c.ep.watch(&c.socket, c)
	}
	if err != nil {
		c.discard()
	}
	return err
}

func (c *tcpConn) connect() error {
	to := c.d.Remote
	zone, err := zoneOf(to.Addr())
	if err != nil {
		return err
	}
	fd, err := unix.Socket(family(to.Addr()),
		unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return err
	}
	c.fd = int32(fd)
	if err := bindToInterface(fd, c.d.Interface); err != nil {
		return err
	}
	if c.d.SourcePort != 0 {
		// An earlier connection to somebody else may still be in TIME-WAIT.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
		if err := c.ep.bindTo(fd, to.Addr(), c.d.SourcePort); err != nil {
			return err
		}
	}
	if err := tellICMP(fd, to.Addr(), true); err != nil {
		return err
	}
	c.began = time.Since(c.l.start)
	err = unix.Connect(fd, c.ep.names.of(to, zone))
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	c.Local() // stays known, also if nobody accepts
	c.timer.set(c.began + c.d.Timeout)
	return nil
}

// expired: the connect took too long.
func (c *tcpConn) expired() { c.end(os.ErrDeadlineExceeded) }

// event takes what epoll tells.
func (c *tcpConn) event(events uint32) {
	if c.state == stateOpening && !c.connected(events) {
		return
	}
	if events&hangups != 0 {
		c.hung = true
	}
	if events&unix.EPOLLOUT != 0 {
		c.write()
	}
	if events&(unix.EPOLLIN|hangups) != 0 {
		c.read()
	}
}

// connected ends a connect, and says whether the connection is open.
func (c *tcpConn) connected(events uint32) bool {
	var errno unix.Errno
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		n, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			c.end(err)
			return false
		}
		errno = unix.Errno(n)
	} else if events&unix.EPOLLOUT == 0 {
		return false
	}
	switch errno {
	case 0:
	case unix.ECONNRESET, unix.EPIPE:
		// Only what was connected can be reset (a connect is refused). The
		// peer may have said why before: that is still to be read.
		c.err = errno
	default:
		c.end(c.ep.icmpOf(int(c.fd), errno))
		return false
	}
	// From here on, an ICMP error is for the kernel to weigh (RFC 5927).
	_ = tellICMP(int(c.fd), c.d.Remote.Addr(), false)
	c.timer.stop()
	c.state = stateOpen
	if isSelf(c.Local(), c.d.Remote) {
		// A simultaneous open with ourselves (RFC 9293 section 3.5): nobody
		// listens, and the kernel chose the very port that is dialled.
		c.end(unix.ECONNREFUSED)
		return false
	}
	c.h.Opened(c.l.elapsed() - c.began)
	return c.state == stateOpen
}

// read tells what came, a turn's worth of it.
func (c *tcpConn) read() {
	for range readsPerTurn {
		if c.state != stateOpen {
			return
		}
		buf := c.ep.buf
		n, err := unix.Read(int(c.fd), buf)
		switch {
		case n > 0:
			c.h.Received(buf[:n], c.d.Remote)
			if n < len(buf) && !c.hung && c.broken == nil {
				c.readable = false
				return // what comes now is another event
			}
		case err == nil:
			c.end(c.reason(io.EOF))
			return
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			c.readable = false
			if c.broken != nil {
				c.end(c.reason(c.broken))
			}
			return
		default:
			c.end(c.reason(err))
			return
		}
	}
	c.readable = true
	c.later()
}

// reason is why the connection ended, if not as it seems.
func (c *tcpConn) reason(seems error) error {
	switch {
	case c.err != nil:
		return resetOf(c.err)
	case c.broken != nil:
		return resetOf(c.broken)
	}
	return resetOf(seems)
}

// resume does what was put off: it tells of Sends, and reads on.
func (c *tcpConn) resume() {
	if c.state == stateWaiting {
		c.end(c.err)
		return
	}
	for c.sent > 0 {
		c.sent--
		c.h.Sent()
		if c.state != stateOpen {
			return
		}
	}
	if c.readable || c.broken != nil {
		c.read()
	}
}

// Send implements [Conn].
func (c *tcpConn) Send(b []byte) {
	if c.state == stateClosed || c.broken != nil {
		return
	}
	c.queue.push(b)
	if c.state == stateOpen {
		c.write()
	}
}

// hasten switches Nagle's algorithm off (RFC 9293 section 3.7.4), which holds
// nothing back before the second write: many conversations have but one.
func (c *tcpConn) hasten() {
	if c.wrote == 1 {
		// Where that fails, the connection is on its way out, or slower.
		_ = unix.SetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	c.wrote = min(c.wrote+1, 2)
}

// shut sends what the kernel takes of what is queued, and closes.
func (c *tcpConn) shut() {
	c.write()
	c.release()
}

// write hands what is queued to the kernel, as far as it takes it.
func (c *tcpConn) write() {
	for !c.queue.empty() && c.state == stateOpen {
		b := c.queue.head()
		n := 0
		if len(b) > 0 {
			c.hasten()
			var err error
			n, err = unix.Write(int(c.fd), b)
			switch err {
			case nil:
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return // there will be an event
			default:
				c.broken = err
				c.queue.clear()
				c.later()
				return
			}
		}
		if c.queue.advance(n) {
			c.sent++
			c.later()
		}
	}
}
