package engine

import (
	"net/netip"
	"time"
)

// A conn is what the connections of all systems and protocols share.
type conn struct {
	l     *core
	p     protocol // what it is part of
	h     Handler
	d     Dial
	timer timer
	err   error // to be told by Ended, when nothing is left to be read
	local netip.AddrPort

	todoNext   *conn // in core.todo
	next, prev *conn // in one of the core's connLists
	in         *connList

	state  state
	inTodo bool
}

// A protocol is what kinds of connections do differently.
type protocol interface {
	begin() error // starts; after an error nothing is left open
	shut()        // gives back what begin took
	resume()      // does what was put off to the end of the turn
	expirer       // of the connection's timer
}

type state uint8

const (
	stateWaiting state = iota // for resources, or to be told that it failed
	stateOpening
	stateOpen
	stateClosed
)

func (c *conn) set(l *core, p protocol, d Dial, h Handler) {
	d.Remote = netip.AddrPortFrom(d.Remote.Addr().Unmap(), d.Remote.Port())
	c.l, c.p, c.d, c.h = l, p, d, h
	c.timer.prepare(&l.wheel, p)
}

// later has resume called in this turn, or in the next if this one is past it.
func (c *conn) later() { c.l.todo.add(c) }

// fail has Ended told, later.
func (c *conn) fail(err error) {
	c.err = err
	c.later()
}

// end closes and tells why.
func (c *conn) end(err error) {
	if c.state == stateClosed {
		return
	}
	c.Close()
	c.h.Ended(err)
}

// Close implements [Conn].
func (c *conn) Close() {
	if c.state == stateClosed {
		return
	}
	had := c.in == &c.l.open
	c.l.unlist(c)
	c.timer.stop()
	if had {
		c.p.shut()
		c.l.pool.release()
		c.l.freed = true
	}
	c.state = stateClosed
}

// sendPauseMin and sendPauseMax bound the pause, which doubles, before a
// datagram for which there was no buffer is sent again.
const (
	sendPauseMin = 2 * time.Millisecond
	sendPauseMax = 500 * time.Millisecond
)
