package enginetest

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"sonde/probes/engine"
)

// A Conn is our side of one connection of a [Loop].
type Conn struct {
	l       *Loop
	d       engine.Dial
	h       engine.Handler
	remote  *Remote
	began   time.Time
	timeout *event
	state   connState
	unsent  [][]byte // before Opened, or while the peer stalls
}

type connState uint8

const (
	opening connState = iota
	open
	closed
)

var _ engine.Conn = (*Conn)(nil)

// begin has the peer say what will happen.
func (c *Conn) begin(p Peer) {
	switch {
	case c.state == closed:
	case c.d.Network != "tcp" && c.d.Network != "udp":
		c.end(net.UnknownNetworkError(c.d.Network))
	case c.d.Network == "tcp" && c.d.Timeout <= 0:
		c.end(os.ErrInvalid)
	case c.d.Network == "tcp":
		c.timeout = c.l.after(c.d.Timeout, func() { c.end(os.ErrDeadlineExceeded) })
		p(c.remote)
	default:
		p(c.remote)
		c.opened()
	}
}

// opened tells that the connection is there.
func (c *Conn) opened() {
	if c.state != opening {
		return
	}
	if c.timeout != nil {
		c.timeout.f = nil
	}
	c.state = open
	c.h.Opened(c.l.now.Sub(c.began))
	c.flush()
}

// end tells that the connection is gone.
func (c *Conn) end(err error) {
	if c.state == closed {
		return
	}
	c.Close()
	c.h.Ended(err)
}

// Send implements engine.Conn.
func (c *Conn) Send(b []byte) {
	if c.state == closed {
		return
	}
	c.unsent = append(c.unsent, b)
	c.flush()
}

// flush hands what is unsent to the peer, at once but after what happens now.
func (c *Conn) flush() {
	if c.state != open || c.remote.stalled {
		return
	}
	for _, b := range c.unsent {
		c.l.after(0, func() { c.arrive(b) })
	}
	c.unsent = nil
}

func (c *Conn) arrive(b []byte) {
	r := c.remote
	r.received.Write(b)
	r.payloads = append(r.payloads, slices.Clone(b))
	if c.state == open {
		c.h.Sent()
	}
	if r.onReceive != nil && !r.over {
		r.onReceive(b)
	}
}

// Close implements engine.Conn.
func (c *Conn) Close() {
	if c.state == closed {
		return
	}
	c.state = closed
	if c.timeout != nil {
		c.timeout.f = nil
	}
	if f := c.remote.onClose; f != nil {
		c.l.after(0, f)
	}
}

// Local implements engine.Conn: every connection has a port of its own.
func (c *Conn) Local() netip.AddrPort {
	port := c.d.SourcePort
	if port == 0 {
		port = 32768 + uint16(slices.Index(c.l.conns, c)%28232)
	}
	if c.d.Remote.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 0, 1}), port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), port)
}

// Remote gives the peer's side.
func (c *Conn) Remote() *Remote { return c.remote }

// A Remote is the peer's side of one connection. Times count from the call;
// what comes when our side is closed is lost.
type Remote struct {
	c         *Conn
	received  bytes.Buffer
	payloads  [][]byte
	onReceive func(b []byte)
	onClose   func()
	stalled   bool
	over      bool
}

// Dial is what was asked for.
func (r *Remote) Dial() engine.Dial { return r.c.d }

// Closed says whether our side is closed.
func (r *Remote) Closed() bool { return r.c.state == closed }

// Received is all that came from our side, and …
func (r *Remote) Received() []byte { return r.received.Bytes() }

// Payloads is the same, one for each Send.
func (r *Remote) Payloads() [][]byte { return r.payloads }

// Accept answers the SYN.
func (r *Remote) Accept(after time.Duration) {
	r.c.l.after(after, r.c.opened)
}

// Send sends bytes, or a datagram from the port that was asked.
func (r *Remote) Send(after time.Duration, b []byte) {
	r.SendFrom(after, r.c.d.Remote, b)
}

// SendFrom sends a datagram from another port of the host. Of another host it
// would be dropped, as engines do.
func (r *Remote) SendFrom(after time.Duration, from netip.AddrPort, b []byte) {
	r.c.l.after(after, func() {
		if r.c.state == open && !r.over && from.Addr() == r.c.d.Remote.Addr() {
			r.c.h.Received(bytes.Clone(b), from)
		}
	})
}

// End ends the connection: with ECONNREFUSED instead of Accept, io.EOF for FIN,
// ECONNRESET for RST, or any other error.
func (r *Remote) End(after time.Duration, err error) {
	r.c.l.after(after, func() {
		r.over = true
		r.c.end(err)
	})
}

// Reject sends an ICMP error about a datagram.
func (r *Remote) Reject(after time.Duration, err error) {
	r.c.l.after(after, func() {
		if r.c.state == open {
			r.c.h.Rejected(err, r.c.d.Remote)
		}
	})
}

// OnReceive has f called with what comes, one call for each Send.
func (r *Remote) OnReceive(f func(b []byte)) { r.onReceive = f }

// OnClose has f called when our side is closed, whoever closed it.
func (r *Remote) OnClose(f func()) { r.onClose = f }

// Stall has the peer take nothing (true), so that Sends wait, or go on.
func (r *Remote) Stall(on bool) {
	r.stalled = on
	r.c.flush()
}

// After has f called later, whether our side is closed by then or not.
func (r *Remote) After(d time.Duration, f func()) { r.c.l.after(d, f) }
