package engine

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

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
	base
	poll    *poller
	pool    *pool
	table   []entry // of open sockets, by slot
	free    []int32 // slots not in use
	todo    todoList
	waits   waitList // for a descriptor or buffers, first come, first served
	ports   waitList // for a source port, which others may well get
	retry   timer    // of both
	backoff time.Duration
	// portless counts in ports by address, so that others need not try.
	portless map[netip.AddrPort]int
	closing  bool
	freed    bool // a socket was closed in this turn
	names    sockaddrs
	oob      [256]byte      // for one control message, and …
	scrap    [1]byte        // … the datagram that it is about, which we know
	buf      [readSize]byte // of all sockets: who waits owns none
}

// An entry is a slot of the table. Events name slot and generation, so that
// one that was on its way when its socket was closed meets nobody.
type entry struct {
	s          *socket
	generation int32
}

// readSize is the most one read takes: the largest datagram fits.
const readSize = 64 << 10

func newEpollLoop(p *pool) (*epollLoop, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &epollLoop{poll: poll, pool: p, portless: map[netip.AddrPort]int{}}
	l.init(poll.wake)
	l.retry.prepare(&l.wheel, l)
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
	if e.s != nil && e.generation == ev.Pad {
		e.s.p.event(ev.Events)
	}
}

// runTodo lets each socket that has something left to do do it, once.
func (l *epollLoop) runTodo() {
	list := l.todo.take()
	for list != nil {
		s := list
		list, s.todoNext, s.inTodo = s.todoNext, nil, false
		if s.state != stateClosed {
			s.p.resume()
		}
	}
}

// settle ends a turn: what was freed goes to what waits.
func (l *epollLoop) settle() {
	freed := l.freed
	l.freed = false
	if freed || l.again {
		l.retryWaiting()
	}
	if freed {
		l.pool.freed(l)
	}
}

// shutDown ends all connections.
func (l *epollLoop) shutDown() {
	l.closing = true
	for slot := 0; slot < len(l.table); slot++ {
		if s := l.table[slot].s; s != nil {
			s.end(errClosed)
		}
	}
	for _, list := range []*waitList{&l.waits, &l.ports} {
		for s := list.first; s != nil; s = list.first {
			s.end(errClosed)
		}
	}
	for !l.todo.empty() { // who could not even begin, told or about to be
		l.runTodo()
	}
}

// watch gives an open descriptor a slot and has its events told.
func (l *epollLoop) watch(s *socket) error {
	var slot int32
	if n := len(l.free); n > 0 {
		slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		slot = int32(len(l.table))
		l.table = append(l.table, entry{})
	}
	e := &l.table[slot]
	if err := l.poll.add(int(s.fd), edges, slot, e.generation); err != nil {
		l.free = append(l.free, slot)
		return err
	}
	e.s, s.slot = s, slot
	return nil
}

// unwatch gives the slot back. Closing the descriptor ends the events.
func (l *epollLoop) unwatch(s *socket) {
	e := &l.table[s.slot]
	e.s = nil
	e.generation++
	l.free = append(l.free, s.slot)
}
