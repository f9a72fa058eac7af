package session

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serve runs a TCP server in memory until the test ends. Inside a bubble of
// testing/synctest its time is that of the bubble: waiting costs nothing, and
// a loaded machine changes no outcome.
func serve(t *testing.T, talk func(s *server, c net.Conn)) *server {
	t.Helper()
	s := &server{addr: netip.MustParseAddrPort("192.0.2.1:7000")}
	s.dialer = &lanDialer{talk: func(c *lanConn) { talk(s, c) }, server: s}
	t.Cleanup(s.dialer.close)
	return s
}

// A lanDialer connects to a server in memory, or refuses.
type lanDialer struct {
	server *server
	talk   func(*lanConn)

	mu     sync.Mutex
	conns  []*lanConn // the server's ends
	refuse func(n int) bool
	wg     sync.WaitGroup
}

func (d *lanDialer) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	time.Sleep(d.server.latency)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.conns); d.refuse != nil && d.refuse(n) {
		return nil, syscall.ECONNREFUSED
	}
	near, far := newLANPair(d.remote(network))
	d.conns = append(d.conns, far)
	d.server.accepted()
	d.wg.Go(func() {
		defer far.Close()
		d.talk(far)
	})
	return near, ctx.Err()
}

func (d *lanDialer) remote(network string) net.Addr {
	if network == "udp" {
		return net.UDPAddrFromAddrPort(d.server.addr)
	}
	return net.TCPAddrFromAddrPort(d.server.addr)
}

// open is how many connections neither end has closed.
func (d *lanDialer) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, c := range d.conns {
		if !c.isClosed() && !c.peer.isClosed() {
			n++
		}
	}
	return n
}

func (d *lanDialer) close() {
	d.mu.Lock()
	for _, c := range d.conns {
		c.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// A lanConn is one end of a connection in memory that behaves like TCP: what
// is sent waits in the receiver's buffer, also after a close; a deadline that
// has passed fails a read though bytes wait; a write to an end that is closed
// draws a reset.
type lanConn struct {
	local, remote net.Addr
	peer          *lanConn

	mu       sync.Mutex
	buf      [][]byte // as sent, one element per write
	end      error    // what a read gives after buf
	pending  error    // what one read gives before buf: an ICMP error
	closed   bool
	deadline time.Time
	changed  chan struct{} // closed at each change of what stands above
}

func newLANPair(remote net.Addr) (near, far *lanConn) {
	var local net.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 40000}
	if remote.Network() == "udp" {
		local = &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 40000}
	}
	near = &lanConn{local: local, remote: remote, changed: make(chan struct{})}
	far = &lanConn{local: remote, remote: local, changed: make(chan struct{})}
	near.peer, far.peer = far, near
	return near, far
}

// change edits c under its lock and wakes its readers.
func (c *lanConn) change(edit func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *lanConn) Read(b []byte) (int, error) {
	for {
		n, changed, deadline, err := c.take(b)
		if changed == nil {
			return n, err
		}
		if deadline.IsZero() {
			<-changed
			continue
		}
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take reads what is there. Without anything it gives what to wait for.
func (c *lanConn) take(b []byte) (n int, changed <-chan struct{}, until time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, nil, until, net.ErrClosed
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return 0, nil, until, os.ErrDeadlineExceeded
	case c.pending != nil:
		err, c.pending = c.pending, nil
		return 0, nil, until, err
	case len(c.buf) > 0:
		n = copy(b, c.buf[0])
		if c.buf[0] = c.buf[0][n:]; len(c.buf[0]) == 0 || c.remote.Network() == "udp" {
			c.buf = c.buf[1:]
		}
		return n, nil, until, nil
	case c.end != nil:
		return 0, nil, until, c.end
	}
	return 0, c.changed, c.deadline, nil
}

func (c *lanConn) Write(b []byte) (int, error) {
	if c.isClosed() {
		return 0, net.ErrClosed
	}
	if c.peer.isClosed() {
		c.fail(syscall.ECONNRESET)
		return len(b), nil
	}
	c.peer.change(func() { c.peer.buf = append(c.peer.buf, append([]byte(nil), b...)) })
	return len(b), nil
}

// fail ends what c can read.
func (c *lanConn) fail(err error) {
	c.change(func() {
		if c.end == nil || errors.Is(c.end, io.EOF) {
			c.end = err
		}
	})
}

// reset closes c so that the peer sees no orderly end.
func (c *lanConn) reset() {
	c.peer.fail(syscall.ECONNRESET)
	c.Close()
}

func (c *lanConn) Close() error {
	c.change(func() { c.closed = true })
	c.peer.change(func() {
		if c.peer.end == nil {
			c.peer.end = io.EOF
		}
	})
	return nil
}

func (c *lanConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *lanConn) LocalAddr() net.Addr  { return c.local }
func (c *lanConn) RemoteAddr() net.Addr { return c.remote }

func (c *lanConn) SetDeadline(at time.Time) error { return c.SetReadDeadline(at) }

func (c *lanConn) SetReadDeadline(at time.Time) error {
	c.change(func() { c.deadline = at })
	return nil
}

// SetWriteDeadline does nothing: no write here waits.
func (c *lanConn) SetWriteDeadline(time.Time) error { return nil }
