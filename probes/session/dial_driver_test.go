package session

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"sonde/match"
	"sonde/probes"
)

// A Dialer opens connections; *net.Dialer is one. The network is "tcp" or
// "udp", the address an IP literal with a port.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// dialConfig is what a dialProber needs.
type dialConfig struct {
	Database *probes.Database
	Settings Settings
	Dialer   Dialer // nil: a plain net.Dialer
	// Pace returns when a connection or a datagram is allowed; nil: at once.
	Pace func(context.Context, netip.AddrPort) error
}

// A dialProber visits over connections of package net.
type dialProber struct {
	*Prober
	dialer Dialer
	pace   func(context.Context, netip.AddrPort) error
}

func newDialProber(cfg dialConfig) (*dialProber, error) {
	p, err := New(Config{Database: cfg.Database, Settings: cfg.Settings})
	if err != nil {
		return nil, err
	}
	d := &dialProber{p, cfg.Dialer, cfg.Pace}
	if d.dialer == nil {
		d.dialer = new(net.Dialer)
	}
	if d.pace == nil {
		d.pace = func(ctx context.Context, _ netip.AddrPort) error { return ctx.Err() }
	}
	return d, nil
}

// Visit asks what listens at the endpoint over connections of package net. It
// blocks its caller, uses goroutines, and leaves none behind.
//
// It returns within some milliseconds after ctx is done, with the outcome
// inconclusive unless the identity was already certain.
func (p *dialProber) Visit(ctx context.Context, ep probes.Endpoint, known Remembered) probes.Observation {
	d := &driver{
		dialProber: p, ctx: ctx, ep: ep, machine: p.NewMachine(ep, known, match.NewScratch()),
		pipes: make(map[int]*pipe), news: make(chan news),
		timer: time.NewTimer(0), connectTimeout: p.settings.ConnectTimeout,
	}
	d.run()
	return d.machine.Observation(time.Now())
}

// A driver runs one machine.
type driver struct {
	*dialProber
	ctx            context.Context
	ep             probes.Endpoint
	machine        *Machine
	connectTimeout time.Duration

	pipes map[int]*pipe
	timer *time.Timer
	told  bool    // that ctx is done
	todo  []Event // told before anything else

	news    chan news
	backlog []news // came already
	busy    int    // goroutines whose news are not heard yet
	wg      sync.WaitGroup
}

// A pipe is one connection of a driver.
type pipe struct {
	number  int
	conn    net.Conn // nil until it is open
	ctx     context.Context
	cancel  context.CancelFunc
	buf     []byte
	reading bool // a goroutine is at it
	checked bool // nothing more was there when the time came
}

// news is what a goroutine has to tell of a pipe.
type news struct {
	*pipe
	kind EventKind
	conn net.Conn // Opened, Secured
	n    int      // Received
	err  error
	rtt  time.Duration
	tls  *Handshake
	key  *KeyExchange
}

// start runs f in a goroutine and takes its news.
func (d *driver) start(f func() news) {
	d.busy++
	d.wg.Go(func() { d.news <- f() })
}

func (d *driver) run() {
	defer d.timer.Stop()
	d.doAll(d.machine.Start(time.Now()))
	for !d.machine.Done() {
		d.await()
		d.tell()
	}
	for _, p := range d.pipes {
		d.close(p)
	}
	for ; d.busy > 0; d.busy-- {
		if n := d.next(); n.conn != nil {
			n.conn.Close()
		}
	}
	d.wg.Wait()
}

// await waits for something to tell.
func (d *driver) await() {
	if len(d.backlog) > 0 {
		d.hear(d.next())
		return
	}
	select {
	case n := <-d.news:
		d.hear(n)
	case <-d.timer.C:
		d.check()
		d.todo = append(d.todo, Event{Kind: Woken})
	case <-d.ctx.Done():
	}
}

// next gives the next news, those that came already first.
func (d *driver) next() news {
	if len(d.backlog) == 0 {
		return <-d.news
	}
	n := d.backlog[0]
	d.backlog = d.backlog[1:]
	return n
}

// tell hands over the events.
func (d *driver) tell() {
	if !d.told && d.ctx.Err() != nil { // what fails now, fails for that
		d.told = true
		d.todo = []Event{{Kind: Cancelled, Err: d.ctx.Err()}}
	}
	for len(d.todo) > 0 && !d.machine.Done() {
		e := d.todo[0]
		d.todo = d.todo[1:]
		d.doAll(d.machine.Handle(time.Now(), e))
		d.readOn(e)
	}
}

func (d *driver) doAll(actions []Action) {
	for _, a := range actions {
		d.do(a)
	}
}

// do does what the machine wants.
func (d *driver) do(a Action) {
	p := d.pipes[a.Conn]
	//exhaustive:enforce
	switch a.Kind {
	case Open:
		d.open(a)
	case Send:
		d.send(p, a.Data)
	case StartTLS:
		d.shake(p, a)
	case ReadKey:
		d.readKey(p, a)
	case Close:
		d.close(p)
	case Wake:
		d.timer.Reset(time.Until(a.At))
	case Finish:
	}
}

func (d *driver) addr() netip.AddrPort { return netip.AddrPortFrom(d.ep.Addr, d.ep.Port) }

func (d *driver) udp() bool { return d.ep.Transport == probes.UDP }

// open dials. A UDP socket has its pace when something is sent.
func (d *driver) open(a Action) {
	p := &pipe{number: a.Conn, checked: true}
	p.ctx, p.cancel = context.WithCancel(d.ctx)
	d.pipes[a.Conn] = p
	d.start(func() news {
		if !d.udp() {
			if err := d.pace(p.ctx, d.addr()); err != nil {
				return news{pipe: p, kind: Ended, err: errors.New("pace: " + err.Error())}
			}
		}
		dctx, cancel := context.WithTimeout(p.ctx, d.connectTimeout)
		defer cancel()
		start := time.Now()
		conn, err := d.dialer.DialContext(dctx, string(d.ep.Transport), d.addr().String())
		if err != nil {
			return news{pipe: p, kind: Ended, err: err}
		}
		if !d.udp() && conn.LocalAddr().String() == conn.RemoteAddr().String() {
			conn.Close()
			return news{pipe: p, kind: Ended, err: syscall.ECONNREFUSED} // as an engine says it
		}
		return news{pipe: p, kind: Opened, conn: conn, rtt: time.Since(start)}
	})
}

// send writes. That the peer is gone shows when all it sent is read.
func (d *driver) send(p *pipe, data []byte) {
	if p == nil || p.conn == nil {
		return
	}
	if !d.udp() {
		p.conn.SetWriteDeadline(time.Now().Add(d.connectTimeout))
		if _, err := p.conn.Write(data); err == nil {
			d.todo = append(d.todo, Event{Kind: Sent, Conn: p.number})
		}
		return
	}
	d.start(func() news {
		n := news{pipe: p, kind: Sent, err: d.pace(p.ctx, d.addr())}
		if n.err == nil {
			_, n.err = p.conn.Write(data)
		}
		return n
	})
}

// close gives a connection back.
func (d *driver) close(p *pipe) {
	if p == nil {
		return
	}
	delete(d.pipes, p.number)
	p.cancel()
	if p.conn != nil {
		p.conn.Close()
	}
}

// hear turns news into events.
func (d *driver) hear(n news) {
	d.busy--
	p := n.pipe
	if n.kind == Received {
		p.reading = false
	}
	if d.pipes[p.number] != p { // closed meanwhile
		if n.conn != nil {
			n.conn.Close()
		}
		return
	}
	e := Event{Kind: n.kind, Conn: p.number, Err: n.err, RTT: n.rtt, TLS: n.tls, Key: n.key}
	//exhaustive:enforce
	switch n.kind {
	case Opened, Secured:
		p.conn = n.conn
		d.read(p)
	case Received:
		d.received(n, e)
		return
	case Sent: // what the peer thinks of it, the reading tells
	case Ended, Unsecured, Shown:
		d.close(p)
	case Rejected, Woken, Cancelled, Stirred: // are not told by goroutines
	}
	d.todo = append(d.todo, e)
}

func (d *driver) received(n news, e Event) {
	p := n.pipe
	timedOut := errors.Is(n.err, os.ErrDeadlineExceeded)
	if n.n > 0 || n.err == nil {
		e.Data, e.Err = p.buf[:n.n], nil
		d.todo = append(d.todo, e)
	}
	switch {
	case n.err == nil: // read on when it is handled
	case timedOut:
		p.checked = true
	case d.udp() && !errors.Is(n.err, net.ErrClosed):
		d.todo = append(d.todo, Event{Kind: Rejected, Conn: p.number, Err: n.err})
	default:
		d.close(p)
		d.todo = append(d.todo, Event{Kind: Ended, Conn: p.number, Err: n.err})
	}
}

// readOn reads again once what came before was handled.
func (d *driver) readOn(e Event) {
	if p := d.pipes[e.Conn]; p != nil && (e.Kind == Received || e.Kind == Rejected) {
		d.read(p)
	}
}

func (d *driver) read(p *pipe) {
	if p.buf == nil {
		size := 4096
		if d.udp() {
			size = 1 << 16 // a datagram as a whole
		}
		p.buf = make([]byte, size)
	}
	if p.reading || p.conn == nil {
		return
	}
	p.reading = true
	conn := p.conn
	d.start(func() news {
		n, err := conn.Read(p.buf)
		return news{pipe: p, kind: Received, n: n, err: err}
	})
}

// check hands over all that the kernel has taken in by now: a machine under
// load comes late, and silence counts only then.
func (d *driver) check() {
	at := time.Now().Add(glance)
	for _, p := range d.pipes {
		if p.checked = !p.reading; p.reading {
			p.conn.SetReadDeadline(at)
		}
	}
	for !d.machine.Done() && d.unchecked() {
		d.hear(d.next())
		d.tell()
	}
	for _, p := range d.pipes {
		if p.conn != nil {
			p.conn.SetReadDeadline(time.Time{})
			d.read(p)
		}
	}
}

func (d *driver) unchecked() bool {
	for _, p := range d.pipes {
		if !p.checked && p.reading {
			return true
		}
	}
	return false
}
