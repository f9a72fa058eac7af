package engine

import "golang.org/x/sys/unix"

// New makes an engine whose loops each wait on an epoll instance of their own.
func New(cfg Config) (*Engine, error) {
	cfg.complete()
	p := newPool(cfg)
	loops := make([]runner, 0, cfg.Loops)
	for range cfg.Loops {
		l, err := newEpollLoop(p)
		if err != nil {
			for _, l := range loops {
				l.(*epollLoop).poll.close()
			}
			return nil, err
		}
		loops = append(loops, l)
	}
	return start(p, loops), nil
}

// An epollLoop is a [Loop] over epoll. A turn tells in this order: events of
// sockets, timers, posted functions, and what sockets were left with to do.
type epollLoop struct {
	core
	poll  *poller
	table []entry // of open sockets, by slot
	free  []int32 // slots not in use
	names sockaddrs
	oob   [256]byte // for one control message, and …
	scrap [1]byte   // … the datagram that it is about, which we know
	buf   []byte    // of all sockets, readSize long: who waits owns none
}

// An entry is a slot of the table. Events name slot and generation, so that
// one that was on its way when its socket was closed meets nobody.
type entry struct {
	p          pollable
	generation int32
}

// A pollable is told of its events.
type pollable interface{ event(events uint32) }

// readSize is the most one read takes: the largest datagram fits.
const readSize = 64 << 10

func newEpollLoop(p *pool) (*epollLoop, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &epollLoop{poll: poll, buf: make([]byte, readSize)}
	l.init(p, l, poll.wake)
	return l, nil
}

// run turns until the engine is closed.
func (l *epollLoop) run() {
	defer l.poll.close()
	for l.takeTurn() {
	}
	l.shutDown()
}

// takeTurn waits and tells what happened. It says whether there is a next turn.
func (l *epollLoop) takeTurn() bool {
	pause := l.pause()
	if !l.todo.empty() {
		pause = 0
	}
	events, err := l.poll.wait(pause)
	if err != nil { // a bug of ours: the descriptors are private
		panic(err)
	}
	l.turn()
	defer l.rest()
	for i := range events {
		l.dispatch(&events[i])
	}
	l.runTimers()
	more := l.runPosted()
	l.runTodo()
	l.settle()
	return more
}

// dispatch hands an event to its socket, if that is still there.
func (l *epollLoop) dispatch(ev *unix.EpollEvent) {
	if ev.Fd < 0 || int(ev.Fd) >= len(l.table) {
		return // the wake-up
	}
	e := l.table[ev.Fd]
	if e.p != nil && e.generation == ev.Pad {
		e.p.event(ev.Events)
	}
}

// watch gives an open descriptor a slot and has its events told to p.
func (l *epollLoop) watch(s *socket, p pollable) error {
	if len(l.free) == 0 {
		l.free = append(l.free, int32(len(l.table)))
		l.table = append(l.table, entry{})
	}
	slot := l.free[len(l.free)-1]
	e := &l.table[slot]
	if err := l.poll.add(int(s.fd), edges, slot, e.generation); err != nil {
		return err
	}
	l.free = l.free[:len(l.free)-1]
	e.p, s.slot = p, slot
	l.progress()
	return nil
}

// unwatch gives the slot back. Closing the descriptor ends the events.
func (l *epollLoop) unwatch(s *socket) {
	e := &l.table[s.slot]
	e.p = nil
	e.generation++
	l.free = append(l.free, s.slot)
}
