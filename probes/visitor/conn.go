package visitor

import (
	"net/netip"
	"time"

	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
)

// lingerLimit is how long a closed connection is kept for what was sent last
// and the kernel did not take yet. What is sent is short and fits into an empty
// send buffer; only a peer that reads nothing makes this wait.
const lingerLimit = 2 * time.Second

// A conn is one connection or UDP socket of a visit, from the wish to open it
// on. It is the engine's handler of it.
type conn struct {
	*visit
	id      int // the machine's number
	dial    engine.Dial
	engine  engine.Conn // nil until it may be opened
	release func()      // gives its place back, or ends the wait for it

	// told counts, for each Send that the engine has not told of, the Sends of
	// the machine that end with it: none for what TLS sends by itself.
	told   []int
	tunnel *tunnel

	datagrams []datagram // that wait for their time
	pacing    func()     // ends the wait of the first

	begun time.Time // of the connect
	said  []string  // what was sent, by names
	end   error     // as the engine told it

	closed bool         // the machine hears nothing of it any more
	gone   bool         // the engine's connection is, too
	timer  engine.Timer // while it lingers
}

// begin waits for the rates, then for room, then opens. What a UDP socket sends
// is paced, not the socket.
func (c *conn) begin() {
	c.alive.Add(1)
	c.release, c.pacing = nothing, nothing
	if c.udp() {
		c.paced()
		return
	}
	cancel, granted := c.budget.Pace(c.dial.Remote, func() { c.loop.Post(c.paced) })
	if granted {
		c.paced()
		return
	}
	c.release = cancel
}

func (c *conn) paced() {
	if c.closed {
		return
	}
	var granted bool
	c.release, granted = c.budget.Connect(c.dial.Remote.Addr(), func() { c.loop.Post(c.connect) })
	if granted {
		c.connect()
	}
}

func (c *conn) connect() {
	if !c.closed {
		c.open++
		c.begun = c.loop.Now()
		c.engine = c.loop.Open(c.dial, c)
	}
}

// do does what the machine wants of this connection.
func (c *conn) do(a *session.Action) {
	//exhaustive:enforce
	switch a.Kind {
	case session.Send:
		c.send(datagram{a.Data, a.What})
	case session.StartTLS:
		c.note(a.What)
		c.startTLS(a)
	case session.ReadKey:
		c.note(a.What)
		c.readKey(a)
	case session.Close:
		c.close()
	case session.Open, session.Wake, session.Finish: // of no connection
	}
}

// A datagram is what the machine wants sent at once, over UDP as one packet.
type datagram struct {
	data []byte
	what string
}

func (c *conn) send(d datagram) {
	switch {
	case c.engine == nil: // not open yet: the machine breaks its word
	case c.tunnel != nil:
		c.note(d.what)
		c.tunnel.send(d.data)
	case c.udp():
		c.datagrams = append(c.datagrams, d)
		if len(c.datagrams) == 1 {
			c.pace()
		}
	default:
		c.note(d.what)
		c.put(d.data, 1)
	}
}

func (c *conn) udp() bool { return c.ep.Transport == probes.UDP }

// put hands bytes to the engine, with which told Sends of the machine end.
func (c *conn) put(b []byte, told int) {
	if c.gone {
		return
	}
	c.told = append(c.told, told)
	c.engine.Send(b)
}

// pace sends the first datagram that waits as soon as the rates allow it.
func (c *conn) pace() {
	var granted bool
	c.pacing, granted = c.budget.Pace(c.dial.Remote, func() { c.loop.Post(c.depart) })
	if granted {
		c.depart()
	}
}

func (c *conn) depart() {
	if c.closed || len(c.datagrams) == 0 {
		return
	}
	d := c.datagrams[0]
	c.datagrams = c.datagrams[1:]
	c.note(d.what)
	c.put(d.data, 1)
	if len(c.datagrams) > 0 {
		c.pace()
	}
}

// Opened implements engine.Handler.
func (c *conn) Opened(rtt time.Duration) {
	c.heard++
	if c.closed {
		return
	}
	c.tell(c, session.Event{Kind: session.Opened, RTT: rtt})
}

// Received implements engine.Handler.
func (c *conn) Received(b []byte, from netip.AddrPort) {
	c.heard++
	switch {
	case c.closed:
	case c.tunnel != nil:
		c.tunnel.received(b)
	default:
		c.tell(c, session.Event{Kind: session.Received, Data: b, From: from})
	}
}

// Sent implements engine.Handler.
func (c *conn) Sent() {
	if len(c.told) == 0 {
		return
	}
	n := c.told[0]
	c.told = c.told[1:]
	switch {
	case !c.closed:
		for range n {
			c.tell(c, session.Event{Kind: session.Sent})
		}
	case len(c.told) == 0 && c.timer != nil:
		c.shut()
	}
}

// Rejected implements engine.Handler.
func (c *conn) Rejected(err error, to netip.AddrPort) {
	if !c.closed {
		c.tell(c, session.Event{Kind: session.Rejected, Err: err, From: to})
	}
}

// Ended implements engine.Handler.
func (c *conn) Ended(err error) {
	c.heard++
	c.end = err
	c.leave()
	switch {
	case c.closed:
	case c.tunnel != nil: // tells what is unread first, then this
		c.tunnel.bridge.ended(err)
	default:
		c.tell(c, session.Event{Kind: session.Ended, Err: err})
	}
}

// close closes the connection for the machine. What was sent still goes out,
// but for datagrams whose time has not come.
func (c *conn) close() {
	c.closed = true
	c.forget(c)
	c.pacing()
	if c.tunnel != nil {
		c.tunnel.leaveTunnel()
		return
	}
	c.drain()
}

// drain shuts the connection as soon as the kernel has what was sent.
func (c *conn) drain() {
	if len(c.told) == 0 || c.closing || c.gone {
		c.shut()
		return
	}
	if c.timer != nil {
		return
	}
	c.linger[c] = struct{}{}
	c.timer = c.loop.NewTimer(c.shut)
	c.timer.Reset(c.loop.Now().Add(lingerLimit))
}

// shut closes the engine's connection at once.
func (c *conn) shut() {
	if c.engine != nil && !c.gone {
		c.engine.Close()
	}
	c.leave()
}

// leave gives the connection's place back, once. The engine has closed it, or
// will never open it.
func (c *conn) leave() {
	if c.gone {
		return
	}
	c.gone = true
	c.told = nil
	if c.engine != nil {
		c.open--
		c.tellContact()
	}
	c.release()
	if c.timer != nil {
		c.timer.Stop()
		delete(c.linger, c)
	}
	c.alive.Done()
}
