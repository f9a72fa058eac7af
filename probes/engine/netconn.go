package engine

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// A netConn is one connection of a netLoop. One goroutine opens it, one reads,
// and one sends while there is something to send. They touch nothing but the
// transport, and what they see they post.
type netConn struct {
	conn
	nl      *netLoop
	t       transport // nil until Opened
	cancel  context.CancelFunc
	queue   sendQueue
	sending bool
	gone    chan struct{} // closed by the sender of the oldest of queue
	pause   time.Duration
	broken  error         // of a send; what came before it is still read
	taken   chan struct{} // holds one token: the loop took what was read
	done    chan struct{} // closed by shut: nobody takes anything any more
}

// farewell is how long what was sent may go on going out after Close, and what
// was received coming in after a send failed.
const farewell = 200 * time.Millisecond

// begin opens the transport, on a goroutine of its own.
func (c *netConn) begin() error {
	ctx := c.nl.ctx
	ctx, c.cancel = context.WithCancel(ctx)
	c.taken, c.done = make(chan struct{}, 1), make(chan struct{})
	c.nl.work.Go(func() {
		began := time.Now()
		t, err := c.nl.net.open(ctx, &c.d)
		rtt := time.Since(began)
		if !c.l.Post(func() { c.begun(t, err, rtt) }) && err == nil {
			t.close()
		}
	})
	return nil
}

// begun takes what became of begin.
func (c *netConn) begun(t transport, err error, rtt time.Duration) {
	switch {
	case c.state == stateClosed:
		if err == nil {
			t.close()
		}
		return
	case err != nil:
		c.cancel()
		c.l.unlist(&c.conn)
		c.l.put(&c.conn, c.l.refuse(&c.conn, err))
		return
	}
	c.t, c.local, c.state = t, t.local(), stateOpen
	c.l.progress()
	if c.d.Network == "tcp" && isSelf(c.local, c.d.Remote) {
		c.end(syscall.ECONNREFUSED)
		return
	}
	c.nl.work.Go(c.readAll)
	if c.d.Network == "udp" {
		rtt = 0
	}
	c.h.Opened(rtt)
	c.send()
}

// readAll reads until the transport ends. What is read is taken before the
// next read begins, so that a peer that never stops holds one buffer.
func (c *netConn) readAll() {
	buf := make([]byte, c.t.readSize())
	for {
		n, from, err := c.t.read(buf)
		posted := c.l.Post(func() {
			if c.state == stateOpen {
				c.wasRead(buf[:n], from, err)
			}
			c.taken <- struct{}{}
		})
		if !posted || err != nil && c.d.Network == "tcp" {
			return
		}
		select {
		case <-c.taken:
		case <-c.done:
			return
		}
	}
}

// wasRead tells what one read gave.
func (c *netConn) wasRead(b []byte, from netip.AddrPort, err error) {
	udp := c.d.Network == "udp"
	if !udp {
		from = c.d.Remote
	}
	if len(b) > 0 || udp && err == nil {
		if udp && from.Addr().WithZone("") != c.d.Remote.Addr().WithZone("") {
			c.l.pool.foreign.Add(1)
			return
		}
		c.h.Received(b, netip.AddrPortFrom(c.d.Remote.Addr(), from.Port()))
	}
	switch {
	case err == nil || c.state != stateOpen:
	case c.broken != nil:
		c.end(c.broken)
	case udp && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)):
		// Windows tells of an ICMP port unreachable so, and not of which.
		c.h.Rejected(syscall.ECONNREFUSED, c.d.Remote)
	default:
		c.end(err)
	}
}

// Send implements [Conn].
func (c *netConn) Send(b []byte) {
	if c.state == stateClosed || c.broken != nil {
		return
	}
	c.queue.push(b)
	c.send()
}

// send begins to send the oldest of what is queued, if there is any.
func (c *netConn) send() {
	if c.sending || c.state != stateOpen || c.queue.empty() {
		return
	}
	b, gone := c.queue.head(), make(chan struct{})
	c.sending, c.gone = true, gone
	c.nl.work.Go(func() {
		err := c.t.write(b)
		close(gone)
		c.l.Post(func() { c.wasSent(err) })
	})
}

// wasSent takes the end of a send.
func (c *netConn) wasSent(err error) {
	c.sending = false
	switch {
	case c.state != stateOpen:
	case err == nil:
		c.pause = 0
		c.queue.advance(len(c.queue.head()))
		c.h.Sent()
		c.send()
	case c.d.Network == "udp" && c.l.shortageOf(err, &c.d) != enough:
		c.l.pool.count(shortOfBuffers)
		c.pause = min(max(sendPauseMin, 2*c.pause), sendPauseMax)
		c.timer.set(c.l.elapsed() + c.pause)
	case c.d.Network == "udp":
		c.end(err)
	default:
		c.broken = resetOf(err)
		c.queue.clear()
		c.t.hurry(time.Now().Add(farewell))
	}
}

// expired: there may be a buffer now.
func (c *netConn) expired() { c.send() }

// resume tells of a connection that could not be opened.
func (c *netConn) resume() { c.end(c.err) }

// shut ends the goroutines; one more sends the rest of the queue before.
func (c *netConn) shut() {
	c.cancel()
	close(c.done)
	if c.t == nil {
		return // begun closes it, if it comes to be
	}
	if !c.sending && c.queue.empty() || c.l.closing {
		c.t.close()
		return
	}
	t, rest, gone := c.t, c.queue, c.gone
	if !c.sending {
		gone = nil
	}
	c.nl.work.Go(func() {
		t.hurry(time.Now().Add(farewell))
		sendRest(t, rest, gone)
		t.close()
	})
}

// sendRest sends a queue whose head is being sent until gone is closed.
func sendRest(t transport, rest sendQueue, gone <-chan struct{}) {
	if gone != nil {
		<-gone
		rest.advance(len(rest.head()))
	}
	for !rest.empty() {
		if t.write(rest.head()) != nil {
			return // nobody is there to be told
		}
		rest.advance(len(rest.head()))
	}
}

// Local implements [Conn]. Of a UDP socket only the port is known.
func (c *netConn) Local() netip.AddrPort { return c.local }

// bare gives the system's error in what Go's net wraps around it.
func bare(err error) error {
	if err == nil {
		return nil
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return systemErrno(errno)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return err
}

// resetOf is what a failed send means: that the peer reset the connection,
// which is EPIPE where it had sent FIN before.
func resetOf(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return syscall.ECONNRESET
	}
	return err
}
