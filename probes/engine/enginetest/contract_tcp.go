package enginetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"sonde/probes/engine"
)

func connects(t *testing.T, h *Harness) {
	to := h.Serve(t, "tcp", v4, Silent)
	var r Recorder
	h.Do(func() {
		r.Open(h.Loop, tcp(to))
		if len(r.Told) > 0 {
			t.Error("told within Open:", &r)
		}
	})
	h.wait(t, "connection", func() bool { return r.Has("Opened", 1) })
	h.quiet(t)
	h.Do(func() {
		want(t, &r, "Opened")
		if r.RTT <= 0 || r.RTT > time.Second {
			t.Errorf("connected in %v", r.RTT)
		}
		if l := r.Conn.Local(); !l.IsValid() || l.Port() == 0 {
			t.Errorf("local address %v", l)
		}
	})
}

func refused(t *testing.T, h *Harness) {
	r := h.visit(t, tcp(h.Serve(t, "tcp", v4, Refuses)))
	if !errors.Is(r.Err, syscall.ECONNREFUSED) || len(r.Told) != 1 {
		t.Error("told", r)
	}
}

func timesOut(t *testing.T, h *Harness) {
	d := tcp(h.Serve(t, "tcp", v4, Drops))
	d.Timeout = 150 * time.Millisecond
	var began time.Time
	h.Do(func() { began = h.Loop.Now() })
	r := h.visit(t, d)
	if !errors.Is(r.Err, os.ErrDeadlineExceeded) || len(r.Told) != 1 {
		t.Error("told", r)
	}
	if took := r.At.Sub(began); took < d.Timeout || took > d.Timeout+2*time.Second {
		t.Errorf("a timeout of %v took %v", d.Timeout, took)
	}
}

func badDial(t *testing.T, h *Harness) {
	for _, d := range []engine.Dial{
		{Network: "tcp", Remote: netip.AddrPortFrom(v4, 1)}, // no timeout
		{Network: "sctp", Remote: netip.AddrPortFrom(v4, 1), Timeout: timeout},
	} {
		if r := h.visit(t, d); r.Err == nil || len(r.Told) != 1 {
			t.Errorf("%+v was told %v", d, r)
		}
	}
}

func greeting(t *testing.T, h *Harness) {
	r := h.visit(t, tcp(h.Serve(t, "tcp", v4, Greets)))
	h.quiet(t)
	want(t, r, "Opened Received Ended EOF")
	if string(r.Data) != Greeting {
		t.Errorf("received %q", r.Data)
	}
}

func halfClosed(t *testing.T, h *Harness) {
	r := h.visit(t, tcp(h.Serve(t, "tcp", v4, Quits)))
	want(t, r, "Opened Received Ended EOF")
}

// reset: what came before a reset is told before it.
func reset(t *testing.T, h *Harness) {
	var r Recorder
	r.OnReceived = func([]byte) { r.Conn.Send([]byte("x")) }
	to := h.Serve(t, "tcp", v4, Resets)
	h.Do(func() { r.Open(h.Loop, tcp(to)) })
	h.wait(t, "end", func() bool { return r.Has("Ended", 1) })
	if string(r.Data) != Greeting || !errors.Is(r.Err, syscall.ECONNRESET) {
		t.Errorf("told %v, received %q", &r, r.Data)
	}
}

func sendEarly(t *testing.T, h *Harness) {
	to := h.Serve(t, "tcp", v4, Echoes)
	var r Recorder
	h.Do(func() {
		r.Open(h.Loop, tcp(to))
		r.Conn.Send([]byte("one"))
		r.Conn.Send(nil)
		r.Conn.Send([]byte("two"))
	})
	h.wait(t, "echo", func() bool { return string(r.Data) == "onetwo" && r.Has("Sent", 3) })
	h.Do(func() {
		if r.Told[0] != "Opened" || r.Has("Sent", 4) {
			t.Error("told", r.Told)
		}
	})
}

func sendLarge(t *testing.T, h *Harness) {
	to := h.Serve(t, "tcp", v4, Echoes)
	data := make([]byte, 5<<20)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	var r Recorder
	r.OnOpened = func() {
		for part := range slices.Chunk(data, 2<<20) {
			r.Conn.Send(part)
		}
	}
	h.Do(func() { r.Open(h.Loop, tcp(to)) })
	h.wait(t, "echo", func() bool { return len(r.Data) >= len(data) && r.Has("Sent", 3) })
	h.Do(func() {
		if !bytes.Equal(r.Data, data) {
			t.Errorf("%d bytes came back, and differ", len(r.Data))
		}
	})
}

func closeTellsNothing(t *testing.T, h *Harness) {
	to := h.Serve(t, "tcp", v4, Greets)
	var r Recorder
	h.Do(func() { r.Open(h.Loop, tcp(to)) })
	h.wait(t, "connection", func() bool { return r.Has("Opened", 1) })
	var told int
	h.Do(func() {
		r.Conn.Close()
		told = len(r.Told)
		r.Conn.Close()
		r.Conn.Send([]byte("too late"))
	})
	h.quiet(t)
	h.Do(func() {
		if len(r.Told) != told {
			t.Errorf("told after Close: %v", r.Told[told:])
		}
	})
}

func closeInHandlers(t *testing.T, h *Harness) {
	to := h.Serve(t, "tcp", v4, Greets)
	var atOpened, atReceived, atEnded Recorder
	atOpened.OnOpened = func() { atOpened.Conn.Close() }
	atReceived.OnReceived = func([]byte) { atReceived.Conn.Close() }
	atEnded.OnEnded = func(error) { atEnded.Conn.Close() }
	h.Do(func() {
		for _, r := range []*Recorder{&atOpened, &atReceived, &atEnded} {
			r.Open(h.Loop, tcp(to))
		}
	})
	h.wait(t, "end", func() bool {
		return atEnded.Has("Ended", 1) && atOpened.Has("Opened", 1) && atReceived.Has("Received", 1)
	})
	h.quiet(t)
	h.Do(func() {
		want(t, &atOpened, "Opened")
		want(t, &atReceived, "Opened Received")
		want(t, &atEnded, "Opened Received Ended EOF")
	})
}

func closeConnecting(t *testing.T, h *Harness) {
	to := h.Serve(t, "tcp", v4, Drops)
	d := tcp(to)
	d.Timeout = 20 * time.Millisecond
	var r, now Recorder
	h.Do(func() {
		r.Open(h.Loop, d)
		now.Open(h.Loop, d)
		now.Conn.Close()
	})
	h.Do(func() { r.Conn.Close() })
	h.quiet(t)
	h.Do(func() {
		want(t, &r, "")
		want(t, &now, "")
	})
}

func closeWhileSending(t *testing.T, h *Harness) {
	to := h.Serve(t, "tcp", v4, Silent)
	var r Recorder
	r.OnOpened = func() { r.Conn.Send(make([]byte, 64<<20)) }
	h.Do(func() { r.Open(h.Loop, tcp(to)) })
	h.wait(t, "connection", func() bool { return r.Has("Opened", 1) })
	h.quiet(t)
	h.Do(func() { r.Conn.Close() })
	h.quiet(t)
	h.Do(func() { want(t, &r, "Opened") })
}

// goodbye: what was sent goes out though Close follows at once.
func goodbye(t *testing.T, h *Harness) {
	to := h.Serve(t, "tcp", v4, Collects)
	var r Recorder
	r.OnOpened = func() {
		r.Conn.Send([]byte("noop\r\n"))
		r.Conn.Send([]byte("quit\r\n"))
		r.Conn.Close()
	}
	h.Do(func() { r.Open(h.Loop, tcp(to)) })
	h.wait(t, "goodbye", func() bool { return string(h.Collected(to)) == "noop\r\nquit\r\n" })
	h.Do(func() { want(t, &r, "Opened") })
}

// endless: a peer that never stops neither keeps others waiting nor survives
// Close.
func endless(t *testing.T, h *Harness) {
	loud, other := h.Serve(t, "tcp", v4, Endless), h.Serve(t, "tcp", v4, Echoes)
	var flood, quiet Recorder
	flood.Discard = true
	h.Do(func() { flood.Open(h.Loop, tcp(loud)) })
	h.wait(t, "flood", func() bool { return flood.Bytes > 1<<20 })
	rounds := 0
	quiet.OnReceived = func([]byte) {
		if rounds++; rounds < 20 {
			quiet.Conn.Send([]byte("ping"))
		}
	}
	h.Do(func() {
		quiet.Open(h.Loop, tcp(other))
		quiet.Conn.Send([]byte("ping"))
	})
	h.wait(t, "answer to others", func() bool { return rounds == 20 })
	var bytes int
	h.Do(func() {
		flood.Conn.Close()
		bytes = flood.Bytes
	})
	h.quiet(t)
	h.Do(func() {
		if flood.Bytes != bytes || flood.Has("Ended", 1) {
			t.Errorf("told of %d bytes after Close, and %v", flood.Bytes-bytes, &flood)
		}
	})
}

func sourcePort(t *testing.T, h *Harness) {
	for _, network := range []string{"tcp", "udp"} {
		to := h.Serve(t, network, v4, Echoes)
		d := engine.Dial{Network: network, Remote: to, Timeout: timeout, SourcePort: freePort(t)}
		var r Recorder
		h.Do(func() {
			r.Open(h.Loop, d)
			r.Conn.Send([]byte("x"))
		})
		h.wait(t, "echo", func() bool { return r.Has("Received", 1) || r.Has("Ended", 1) })
		h.Do(func() {
			if r.Err != nil || r.Conn.Local().Port() != d.SourcePort {
				t.Errorf("%s: want source port %d, got %v, %v", network, d.SourcePort, r.Conn.Local(), &r)
			}
			r.Conn.Close()
		})
	}
}

// freePort is a port that nobody uses, over TCP or UDP, and that no system
// gives out by itself.
func freePort(t *testing.T) uint16 {
	t.Helper()
	for range 100 {
		at := netip.AddrPortFrom(v4, uint16(20000+rand.IntN(10000)))
		ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			continue
		}
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		_ = ln.Close()
		if err != nil {
			continue
		}
		_ = c.Close()
		return at.Port()
	}
	t.Fatal("no free port")
	return 0
}

// selfConnect: dialling the port that it comes from, TCP connects with itself.
func selfConnect(t *testing.T, h *Harness) {
	port := freePort(t)
	d := tcp(netip.AddrPortFrom(v4, port))
	d.SourcePort = port
	r := h.visit(t, d)
	if !errors.Is(r.Err, syscall.ECONNREFUSED) || r.Has("Opened", 1) {
		t.Error("told", r)
	}
}

// echo is the plain case of both protocols.
func echo(t *testing.T, h *Harness, network string, host netip.Addr) {
	to := h.Serve(t, network, host, Echoes)
	var r Recorder
	r.OnOpened = func() { r.Conn.Send([]byte("hello")) }
	h.Do(func() { r.Open(h.Loop, engine.Dial{Network: network, Remote: to, Timeout: timeout}) })
	h.wait(t, "echo", func() bool { return r.Has("Received", 1) && r.Has("Sent", 1) })
	h.Do(func() {
		if string(r.Data) != "hello" || r.From[0] != to {
			t.Errorf("received %q of %v, want it of %v", r.Data, r.From, to)
		}
		if l := r.Conn.Local(); l.Port() == 0 || l.Addr().Is4() != host.Is4() {
			t.Errorf("local address %v", l)
		}
		r.Conn.Close()
	})
}
