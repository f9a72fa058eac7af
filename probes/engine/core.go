package engine

import (
	"net/netip"
	"time"
)

// A core is what the loops of all systems share beside the base: connections,
// and the queues of those that wait for resources.
type core struct {
	base
	pool    *pool
	self    runner
	todo    todoList
	open    connList // have a socket
	waits   connList // for a descriptor or buffers, first come, first served
	ports   connList // for a source port, which others may well get
	retry   timer    // of both, set while any waits
	backoff time.Duration
	// portless counts in ports by address, so that others need not try.
	portless map[netip.AddrPort]int
	// hasSource tells a want of source ports from a want of an address.
	hasSource func(*Dial) bool
	closing   bool
	freed     bool // a socket was closed in this turn
}

func (l *core) init(p *pool, self runner, wakeup func()) {
	l.base.init(wakeup)
	l.pool, l.self = p, self
	l.portless = map[netip.AddrPort]int{}
	l.hasSource = hasSource
	l.retry.prepare(&l.wheel, l)
	l.backoff = retryMin
}

// admit starts a connection, or lets it wait behind those that wait already.
func (l *core) admit(c *conn) {
	err := c.d.check()
	switch {
	case l.closing:
		c.fail(errClosed)
	case err != nil:
		c.fail(err)
	case l.portless[c.d.Remote] > 0:
		l.wait(&l.ports, c)
	case l.waits.first != nil:
		l.wait(&l.waits, c)
	default:
		l.put(c, l.try(c))
	}
}

// try starts a connection for which nobody else waits longer. It says what is
// short, if that is why it did not begin.
func (l *core) try(c *conn) shortage {
	if !l.pool.acquire(l.now) {
		return shortOfFiles
	}
	c.state = stateOpening
	err := c.p.begin()
	if err == nil {
		l.open.push(c)
		return enough
	}
	return l.refuse(c, err)
}

// refuse ends a connection that had a right to a socket and did not get one,
// unless that is for want of something.
func (l *core) refuse(c *conn, err error) shortage {
	c.state = stateWaiting
	c.timer.stop()
	what := l.shortageOf(err, &c.d)
	if what == enough {
		l.pool.release()
		l.freed = true
		c.fail(err)
		return enough
	}
	l.pool.refused(what, err, l.now)
	return what
}

// runTodo lets each connection that has something left to do do it, once.
func (l *core) runTodo() {
	c := l.todo.take()
	for c != nil {
		next := c.todoNext
		c.todoNext, c.inTodo = nil, false
		if c.state != stateClosed {
			c.p.resume()
		}
		c = next
	}
}

// settle ends a turn: what was freed goes to what waits.
func (l *core) settle() {
	freed := l.freed
	l.freed = false
	if freed || l.again {
		l.retryWaiting()
	}
	if freed {
		l.pool.freed(l.self)
	}
}

// shutDown ends all connections, and those that handlers still open meanwhile.
func (l *core) shutDown() {
	l.closing = true
	for _, list := range []*connList{&l.open, &l.waits, &l.ports} {
		for c := list.first; c != nil; c = list.first {
			c.end(errClosed)
		}
	}
	for !l.todo.empty() {
		l.runTodo()
	}
}
