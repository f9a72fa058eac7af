package engine

import "time"

// retryMin and retryMax bound the pause, which doubles, after which what waits
// is tried again when nothing of ours was closed meanwhile: others may have
// given back what we lack.
const (
	retryMin = 20 * time.Millisecond
	retryMax = time.Second
)

// portTries is how many connections without a source port are tried in vain
// per pause. The kernel looks through all ports each time, which takes it up
// to a millisecond.
const portTries = 2

// put lets c wait for what is short, if anything.
func (l *core) put(c *conn, what shortage) {
	switch what {
	case enough:
	case shortOfPorts:
		l.wait(&l.ports, c)
	case shortOfFiles, shortOfBuffers:
		l.wait(&l.waits, c)
	}
}

// wait appends c to a list.
func (l *core) wait(list *connList, c *conn) {
	list.push(c)
	if list == &l.ports {
		l.portless[c.d.Remote]++
	}
	l.pool.waiting.Add(1)
	if l.retry.where == nowhere {
		l.retry.set(l.elapsed() + l.backoff)
	}
}

// unlist takes c out of the list that it is in, if any.
func (l *core) unlist(c *conn) {
	switch c.in {
	case nil:
		return
	case &l.ports:
		if l.portless[c.d.Remote]--; l.portless[c.d.Remote] == 0 {
			delete(l.portless, c.d.Remote)
		}
		l.pool.waiting.Add(-1)
	case &l.waits:
		l.pool.waiting.Add(-1)
	}
	c.in.remove(c)
}

// progress notes that a connection got its socket.
func (l *core) progress() { l.backoff = retryMin }

// expired is the retry timer's.
func (l *core) expired() {
	l.backoff = min(2*l.backoff, retryMax)
	l.retryWaiting()
	l.retryPorts()
	if l.waits.first != nil || l.ports.first != nil {
		l.retry.set(l.elapsed() + l.backoff)
	}
}

// retryWaiting starts what waits, in order, until something is short again.
func (l *core) retryWaiting() {
	for c := l.waits.first; c != nil; c = l.waits.first {
		l.unlist(c)
		what := l.try(c)
		if what == shortOfFiles || what == shortOfBuffers {
			l.waits.pushFirst(c)
			l.pool.waiting.Add(1)
			break
		}
		l.put(c, what)
	}
}

// retryPorts tries what waits for a source port, from the head, where those
// stand that were not tried for longest.
func (l *core) retryPorts() {
	for c, tries := l.ports.first, portTries; c != nil && tries > 0; c = l.ports.first {
		l.unlist(c)
		what := l.try(c)
		l.put(c, what)
		if what != enough {
			tries--
		}
	}
}
