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

// put lets s wait for what is short, if anything.
func (l *epollLoop) put(s *socket, what shortage) {
	switch what {
	case enough:
	case shortOfPorts:
		l.wait(&l.ports, s)
	case shortOfFiles, shortOfBuffers:
		l.wait(&l.waits, s)
	}
}

// wait appends s to a list.
func (l *epollLoop) wait(list *waitList, s *socket) {
	list.push(s)
	if list == &l.ports {
		l.portless[s.d.Remote]++
	}
	l.pool.waiting.Add(1)
	if l.retry.where == nowhere {
		l.pauseRetry(retryMin)
	}
}

// unwait takes s out of the list that it is in, if any.
func (l *epollLoop) unwait(s *socket) {
	if s.waitIn == nil {
		return
	}
	if s.waitIn == &l.ports {
		if l.portless[s.d.Remote]--; l.portless[s.d.Remote] == 0 {
			delete(l.portless, s.d.Remote)
		}
	}
	s.waitIn.remove(s)
	l.pool.waiting.Add(-1)
}

func (l *epollLoop) pauseRetry(d time.Duration) {
	l.backoff = d
	l.retry.set(l.elapsed() + d)
}

// expired is the retry timer's.
func (l *epollLoop) expired() {
	next := min(2*l.backoff, retryMax)
	if l.retryWaiting() || l.retryPorts() {
		next = retryMin
	}
	if l.waits.first != nil || l.ports.first != nil {
		l.pauseRetry(next)
	}
}

// retryWaiting starts what waits, in order, until something is short again. It
// says whether anything began.
func (l *epollLoop) retryWaiting() bool {
	begun := false
	for s := l.waits.first; s != nil; s = l.waits.first {
		l.unwait(s)
		what := l.try(s)
		if what == shortOfFiles || what == shortOfBuffers {
			l.waits.pushFirst(s)
			l.pool.waiting.Add(1)
			break
		}
		l.put(s, what)
		begun = begun || what == enough
	}
	return begun
}

// retryPorts tries what waits for a source port, from the head, where those
// stand that were not tried for longest.
func (l *epollLoop) retryPorts() bool {
	begun, vain := false, 0
	for s := l.ports.first; s != nil && vain < portTries; s = l.ports.first {
		l.unwait(s)
		what := l.try(s)
		l.put(s, what)
		if what == enough {
			begun = true
		} else {
			vain++
		}
	}
	return begun
}
