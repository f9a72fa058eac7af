package engine

import (
	"context"
	"net"
	"sync"
	"time"
)

// A Dialer opens TCP connections; *net.Dialer is one. The address is an IP
// literal with a port.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// A PacketListener opens unconnected UDP sockets; *net.ListenConfig is one.
// The network is "udp4" or "udp6", the address unspecified, with the source
// port or 0.
type PacketListener interface {
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
}

// A Net is what the portable engine opens its sockets with: the system's, where
// a field is nil.
type Net struct {
	Dialer  Dialer // knows no Dial.SourcePort, which is an error then
	Packets PacketListener
}

// NewNet makes an engine on Go's net package, which works on all systems. It
// keeps the contract of [Loop], at the cost of a goroutine and a buffer per
// connection. ICMP errors about datagrams are told on Windows only, and a
// [Dial.Interface] is refused.
func NewNet(cfg Config, n Net) (*Engine, error) {
	cfg.complete()
	p := newPool(cfg)
	loops := make([]runner, cfg.Loops)
	for i := range loops {
		loops[i] = newNetLoop(p, n)
	}
	return start(p, loops), nil
}

// A netLoop is a [Loop] whose connections each have goroutines that wait for
// them, and post what they see.
type netLoop struct {
	core
	net    Net
	wake   chan struct{} // holds one wake-up at most; never closed
	work   sync.WaitGroup
	ctx    context.Context // ends with the loop
	cancel context.CancelFunc
}

func newNetLoop(p *pool, n Net) *netLoop {
	l := &netLoop{net: n, wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.init(p, l, func() {
		select {
		case l.wake <- struct{}{}:
		default: // it will wake anyway
		}
	})
	if n.Dialer != nil {
		// Whether a network of the caller's has a source is not ours to ask.
		l.hasSource = func(*Dial) bool { return true }
	}
	return l
}

// run turns until the engine is closed.
func (l *netLoop) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for l.takeTurn(timer) {
	}
	l.shutDown()
	l.cancel()
	l.work.Wait()
}

// takeTurn waits and tells what happened. It says whether there is a next turn.
func (l *netLoop) takeTurn(timer *time.Timer) bool {
	if l.todo.empty() {
		timer.Reset(l.pause())
		select {
		case <-l.wake:
		case <-timer.C:
		}
	}
	l.turn()
	defer l.rest()
	l.runTimers()
	more := l.runPosted()
	l.runTodo()
	l.settle()
	return more
}

// Open implements [Loop].
func (l *netLoop) Open(d Dial, h Handler) Conn {
	c := &netConn{nl: l}
	c.set(&l.core, c, d, h)
	l.admit(&c.conn)
	return c
}
