package visitor

import (
	"context"
	"errors"

	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
	"sonde/probes/tlsprobe"
)

// readSize is how much a tunnel's goroutine reads at once.
const readSize = 4 << 10

// A tunnel is the TLS session inside a connection. Its goroutine shakes hands
// and reads; what it finds it hands to the loop, and waits until that has dealt
// with it. All else happens on the loop.
type tunnel struct {
	*conn
	hello  tlsprobe.Config
	bridge *bridge
	dealt  chan struct{}   // by the loop, with what the goroutine handed over
	limit  engine.Timer    // of the handshake
	ticket ticketKey       // whose it is, if hello has one
	tls    tlsprobe.Tunnel // nil until the handshake is complete
}

// startTLS begins a handshake on c.
func (c *conn) startTLS(a *session.Action) {
	if c.engine == nil || c.tunnel != nil {
		return // the machine breaks its word
	}
	t := c.newTunnel(a)
	t.hello = *a.Hello
	t.takeTicket(a.Ticket)
	c.alive.Go(t.run)
}

// newTunnel puts a bridge over c, for a handshake.
func (c *conn) newTunnel(a *session.Action) *tunnel {
	t := &tunnel{conn: c, dealt: make(chan struct{}, 1)}
	t.bridge = newBridge(a.MaxBytes, func(b []byte) {
		t.loop.Post(func() { t.put(b, 0) })
	})
	t.limit = c.loop.NewTimer(func() { t.afterReads(t.bridge.expire) })
	t.limit.Reset(c.loop.Now().Add(a.Timeout))
	c.tunnel = t
	return t
}

// takeTicket adds to the hello the ticket that the machine wants in it.
func (t *tunnel) takeTicket(use session.TicketUse) {
	t.ticket = ticketKey{t.dial.Remote, t.hello.Name}
	now := t.loop.Now()
	switch kept := t.tickets.get(t.ticket, now); {
	case kept == nil:
	case use == session.UseTicket:
		t.hello.Ticket = kept
	case use == session.AskTicket:
		t.hello.Ticket = new(tlsprobe.Ticket)
	case kept.Size() > 0: // it has led nowhere
		t.tickets.spare(t.ticket, now)
	}
}

// leaveTicket keeps what the handshake has left, for the next visit.
func (t *tunnel) leaveTicket(facts *probes.TLSFacts, err error) {
	failed, ok := errors.AsType[*tlsprobe.HandshakeError](err)
	switch {
	case t.hello.Ticket == nil:
	case err == nil:
		t.tickets.put(t.ticket, *t.hello.Ticket, facts.Remembered, t.loop.Now())
	case ok && failed.Ticket:
		t.tickets.spare(t.ticket, t.loop.Now())
	}
}

// run is the goroutine of a tunnel.
func (t *tunnel) run() {
	defer t.bridge.leave()
	inside, facts, err := tlsprobe.Handshake(context.Background(), t.bridge, t.hello)
	h := &session.Handshake{Facts: facts}
	h.BytesOut, h.BytesIn = t.bridge.shaken()
	if err != nil {
		t.hand(func() { t.unsecured(h, err) })
		return
	}
	if !t.hand(func() { t.secured(inside, h) }) {
		return
	}
	buf := make([]byte, readSize)
	for {
		n, err := inside.Read(buf)
		if n > 0 && !t.hand(func() { t.plain(buf[:n]) }) {
			return
		}
		if err != nil {
			t.hand(func() { t.lost(err) })
			return
		}
	}
}

// hand has f run on the loop, and waits for it. It reports false when there is
// no loop any more.
func (t *tunnel) hand(f func()) bool {
	if !t.loop.Post(func() { f(); t.dealt <- struct{}{} }) {
		return false
	}
	<-t.dealt
	return true
}

func (t *tunnel) secured(inside tlsprobe.Tunnel, h *session.Handshake) {
	t.leaveTicket(&h.Facts, nil)
	if t.closed {
		return
	}
	t.limit.Stop()
	t.tls = inside
	t.tell(t.conn, session.Event{Kind: session.Secured, TLS: h})
}

func (t *tunnel) unsecured(h *session.Handshake, err error) {
	if t.closed {
		return
	}
	t.leaveTicket(&h.Facts, err)
	t.limit.Stop()
	t.drain() // our alert still goes out
	t.tell(t.conn, session.Event{Kind: session.Unsecured, Err: err, TLS: h})
	t.closed = true
}

func (t *tunnel) plain(b []byte) {
	if !t.closed {
		t.tell(t.conn, session.Event{Kind: session.Received, Data: b})
	}
}

// lost ends the connection whose tunnel has ended.
func (t *tunnel) lost(err error) {
	if t.closed {
		return
	}
	t.leaveTunnel()
	t.tell(t.conn, session.Event{Kind: session.Ended, Err: err})
	t.closed = true
}

// send puts bytes of the machine into the tunnel.
func (t *tunnel) send(b []byte) {
	if t.tls == nil {
		return // the machine breaks its word
	}
	// An error is one of the tunnel, which the reader meets too, and tells.
	if _, err := t.tls.Write(b); err == nil {
		t.loop.Post(t.mark) // behind the records
	}
}

// mark notes that a Send of the machine ends with the record put last.
func (t *tunnel) mark() {
	switch {
	case t.gone:
	case len(t.told) > 0:
		t.told[len(t.told)-1]++
	case !t.closed:
		t.tell(t.conn, session.Event{Kind: session.Sent})
	}
}

// received takes what came from the peer.
func (t *tunnel) received(b []byte) {
	if !t.bridge.received(b) {
		t.shut() // errFlood will be told when the rest is read
		return
	}
	if t.tls != nil && !t.closed {
		t.tell(t.conn, session.Event{Kind: session.Stirred})
	}
}

// leaveTunnel says goodbye inside the tunnel and closes what is below.
func (t *tunnel) leaveTunnel() {
	t.limit.Stop()
	if t.tls != nil && !t.gone {
		_ = t.tls.CloseWrite() // the peer may not want to know
	}
	t.bridge.shut()
	t.loop.Post(t.drain) // behind the goodbye
}
