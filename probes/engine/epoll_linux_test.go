package engine

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A hearer counts its events.
type hearer struct{ events int }

func (h *hearer) event(uint32) { h.events++ }

// TestStaleEventMeetsNobody: an event that was fetched before its socket was
// closed must not be told to the socket that has the slot now.
func TestStaleEventMeetsNobody(t *testing.T) {
	l := newTestLoop(t)
	defer l.poll.close()
	open := func(h *hearer) *socket {
		fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		s := &socket{ep: l, fd: int32(fd)}
		if err := l.watch(s, h); err != nil {
			t.Fatal(err)
		}
		return s
	}
	var first, second hearer
	old := open(&first)
	events, err := l.poll.wait(0)
	if err != nil || len(events) != 1 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	stale := events[0]
	l.dispatch(&stale)
	old.release()
	l.dispatch(&stale) // to an empty slot
	s := open(&second)
	defer s.release()
	if s.slot != stale.Fd {
		t.Fatalf("slot %d is not used again but %d", stale.Fd, s.slot)
	}
	l.dispatch(&stale)
	if first.events != 1 || second.events != 0 {
		t.Errorf("the old socket heard %d events, the new one %d", first.events, second.events)
	}
}

func newTestLoop(t *testing.T) *epollLoop {
	t.Helper()
	l, err := newEpollLoop(newPool(Config{MaxSockets: 10, Log: slog.New(slog.DiscardHandler)}))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A hearsay is a handler that keeps what it hears, and may be slow.
type hearsay struct {
	data bytes.Buffer
	slow time.Duration
	end  chan error
}

func (h *hearsay) Opened(time.Duration) {}
func (h *hearsay) Received(b []byte, _ netip.AddrPort) {
	h.data.Write(b)
	time.Sleep(h.slow)
}
func (h *hearsay) Sent()                          {}
func (h *hearsay) Rejected(error, netip.AddrPort) {}
func (h *hearsay) Ended(err error)                { h.end <- err }

// peerOf serves one connection from loopback.
func peerOf(t *testing.T, play func(net.Conn)) Dial {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err == nil {
			play(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	to := netip.MustParseAddrPort(ln.Addr().String())
	return Dial{Network: "tcp", Remote: to, Timeout: 5 * time.Second}
}

// TestNothingStaysUnread: what is left after the reads of one turn brings no
// other event.
func TestNothingStaysUnread(t *testing.T) {
	said := bytes.Repeat([]byte("220-welcome\r\n"), 100)
	d := peerOf(t, func(c net.Conn) { _, _ = c.Write(said) })
	l := newTestLoop(t)
	l.buf = l.buf[:16]
	e := start(l.pool, []runner{l})
	defer e.Close()
	h := &hearsay{end: make(chan error, 1)}
	l.Post(func() { l.Open(d, h) })
	if err := <-h.end; !errors.Is(err, io.EOF) || !bytes.Equal(h.data.Bytes(), said) {
		t.Errorf("%d bytes of %d, then %v", h.data.Len(), len(said), err)
	}
}

// TestEndlessPeerKeepsNobodyWaiting: a peer always has more to say than we can
// hear, and timers and posted functions still run.
func TestEndlessPeerKeepsNobodyWaiting(t *testing.T) {
	d := peerOf(t, func(c net.Conn) {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	})
	l := newTestLoop(t)
	l.buf = l.buf[:1024]
	e := start(l.pool, []runner{l})
	defer e.Close()
	h := &hearsay{end: make(chan error, 1), slow: time.Millisecond}
	heard, ran := make(chan struct{}), make(chan struct{})
	l.Post(func() {
		c := l.Open(d, h)
		l.NewTimer(func() {
			if h.data.Len() > 0 {
				close(heard)
			}
			l.Post(func() { c.Close(); close(ran) })
		}).Reset(l.Now().Add(100 * time.Millisecond))
	})
	select {
	case <-ran:
		<-heard
	case <-time.After(10 * time.Second):
		t.Fatal("nothing else ran for 10 s")
	}
}

// A beggar is a protocol that is refused until its time comes.
type beggar struct {
	conn
	refusals int
	err      error
	tries    int
	began    bool
}

func (b *beggar) begin() error {
	if b.tries++; b.tries <= b.refusals {
		return b.err
	}
	b.began = true
	return nil
}
func (b *beggar) shut()    {}
func (b *beggar) resume()  {}
func (b *beggar) expired() {}

// TestWantOfAnotherProgram: nothing of ours is open, so that no end of ours
// can give back what is wanted: it is tried again and again.
func TestWantOfAnotherProgram(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:1")
	for _, errno := range []unix.Errno{unix.EMFILE, unix.EADDRNOTAVAIL} {
		l := newTestLoop(t)
		b := &beggar{refusals: 4, err: errno}
		b.set(&l.core, b, Dial{Network: "tcp", Remote: to, Timeout: time.Second}, nil)
		l.admit(&b.conn)
		for until := time.Now().Add(10 * time.Second); !b.began && time.Now().Before(until); {
			if l.pause() == never {
				t.Fatalf("%v: given up after %d tries", errno, b.tries)
			}
			l.takeTurn()
		}
		if s := l.pool.stats(); !b.began || s.Open != 1 || s.Waiting != 0 {
			t.Errorf("%v: began: %v, %+v", errno, b.began, s)
		}
		l.poll.close()
	}
}
