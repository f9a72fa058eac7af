package enginetest

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sonde/probes/engine"
)

// Real gives a harness on the first loop of an engine, with peers on loopback.
func Real(t *testing.T, e *engine.Engine) *Harness {
	t.Cleanup(func() { _ = e.Close() })
	l := e.Loops()[0]
	w := &world{collected: map[netip.AddrPort][]byte{}}
	h := &Harness{Loop: l, Close: e.Close, Stats: e.Stats, Sockets: true,
		Serve: w.serve, Collected: w.of}
	h.Do = func(f func()) {
		ran := make(chan struct{})
		if !l.Post(func() { defer close(ran); f() }) {
			t.Error("the loop is closed")
			return
		}
		<-ran
	}
	h.Wait = func(done func() bool) bool {
		ended := make(chan bool, 1)
		h.Do(func() {
			until := l.Now().Add(patience)
			var timer engine.Timer
			timer = l.NewTimer(func() {
				ok := done()
				if ok || l.Now().After(until) {
					ended <- ok
					return
				}
				timer.Reset(l.Now().Add(time.Millisecond))
			})
			timer.Reset(l.Now())
		})
		return <-ended
	}
	return h
}

// A world is where the real peers of a harness live.
type world struct {
	mu        sync.Mutex // guards collected: what was sent to whom, once complete
	collected map[netip.AddrPort][]byte
}

func (w *world) of(peer netip.AddrPort) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.collected[peer]
}

// serve makes a real peer.
func (w *world) serve(t *testing.T, network string, host netip.Addr, does Behaviour) netip.AddrPort {
	t.Helper()
	if network == "udp" {
		return serveUDP(t, host, does)
	}
	if does == Drops {
		return fullListener(t)
	}
	ln, err := net.Listen("tcp", netip.AddrPortFrom(host, 0).String())
	if err != nil {
		t.Skipf("skipped: no listener on %s: %v", host, err)
	}
	at := addrOf(ln.Addr())
	if does == Refuses {
		_ = ln.Close()
		return at
	}
	s := &server{w: w, does: does}
	s.work.Go(func() { s.accept(ln) })
	t.Cleanup(func() {
		_ = ln.Close()
		s.closeAll()
		s.work.Wait()
	})
	return at
}

// A server is a TCP peer.
type server struct {
	w    *world
	does Behaviour
	work sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns []net.Conn
	over  bool
}

func (s *server) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		over := s.over
		s.mu.Unlock()
		if over {
			c.Close()
			return
		}
		s.work.Go(func() { s.play(c.(*net.TCPConn)) })
	}
}

func (s *server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, c := range s.conns {
		c.Close()
	}
}

// play does to one connection what the peer is for. What fails ends it.
func (s *server) play(c *net.TCPConn) {
	switch s.does {
	case Silent:
		return // closed by the end of the test
	case Greets, Quits:
		_, _ = io.WriteString(c, Greeting)
		if s.does == Greets {
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
			return
		}
		_ = c.CloseWrite()
	case Resets:
		_, _ = io.WriteString(c, Greeting)
		_, _ = c.Read(make([]byte, 1)) // until the greeting was answered
		_ = c.SetLinger(0)
		_ = c.Close()
	case Echoes:
		_, _ = io.Copy(c, c)
		_ = c.Close()
	case Collects:
		b, _ := io.ReadAll(c)
		s.w.mu.Lock()
		s.w.collected[addrOf(c.LocalAddr())] = b
		s.w.mu.Unlock()
		_ = c.Close()
	case Endless:
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
}

func addrOf(a net.Addr) netip.AddrPort {
	return netip.MustParseAddrPort(a.String())
}
