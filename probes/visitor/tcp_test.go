package visitor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
	"sonde/probes/session"
)

func TestBanner(t *testing.T) {
	const banner = "SSH-2.0-Example_1.0\r\n"
	addr := serve(t, func(c net.Conn) { io.WriteString(c, banner) })
	m := greeted()
	o := visitOnce(t, addr, probes.TCP, m)
	if o.Reason != banner {
		t.Errorf("heard %q", o.Reason)
	}
	if e := m.first(t, session.Ended); !errors.Is(e.Err, io.EOF) {
		t.Errorf("ended by %v", e.Err)
	}
	want := []session.EventKind{session.Opened, session.Received, session.Ended}
	if diff := cmp.Diff(want, m.kinds()); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	if e := m.first(t, session.Opened); e.RTT <= 0 || e.RTT > time.Second {
		t.Errorf("round trip %v", e.RTT)
	}
}

func TestHTTP(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n"+req.URL.Path)
		}
	})
	m := greeted()
	hear := m.on
	m.on = func(m *script, now time.Time, e session.Event) []session.Action {
		if e.Kind == session.Opened {
			return []session.Action{send(0, "GET /nice HTTP/1.0\r\n\r\n")}
		}
		return hear(m, now, e)
	}
	o := visitOnce(t, addr, probes.TCP, m)
	if !strings.HasSuffix(o.Reason, "/nice") {
		t.Errorf("heard %q", o.Reason)
	}
	m.first(t, session.Sent)
}

// TestCloseDoesNotWaitForTheDeaf: Visitor.Close ends what lingers for a peer
// that reads nothing.
func TestCloseDoesNotWaitForTheDeaf(t *testing.T) {
	quiet := make(chan struct{})
	addr := serve(t, func(net.Conn) { <-quiet })
	t.Cleanup(func() { close(quiet) })
	big := bytes.Repeat([]byte("x"), 32<<20)
	m := greeted()
	hear := m.on
	m.on = func(m *script, now time.Time, e session.Event) []session.Action {
		if e.Kind == session.Opened {
			return append([]session.Action{{Kind: session.Send, Data: big}}, finish(0)...)
		}
		return hear(m, now, e)
	}
	began := time.Now()
	visitOnce(t, addr, probes.TCP, m)
	if d := time.Since(began); d > lingerLimit/2 {
		t.Errorf("closed after %v", d)
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	m := greeted()
	visitOnce(t, addr, probes.TCP, m)
	if e := m.first(t, session.Ended); !errors.Is(e.Err, syscall.ECONNREFUSED) {
		t.Errorf("ended by %v", e.Err)
	}
}

// TestCancel ends a visit at each stage at once.
func TestCancel(t *testing.T) {
	silent := make(chan struct{})
	addr := serve(t, func(net.Conn) { <-silent })
	t.Cleanup(func() { close(silent) })
	stages := map[string]func(m *script, now time.Time, e session.Event) []session.Action{
		"before anything is open": func(_ *script, now time.Time, e session.Event) []session.Action {
			return []session.Action{wake(now.Add(time.Hour))}
		},
		"while it listens": func(_ *script, now time.Time, e session.Event) []session.Action {
			if e.Kind == 0 {
				return []session.Action{open(0), open(1), wake(now.Add(time.Hour))}
			}
			return nil
		},
		"in a handshake": func(_ *script, now time.Time, e session.Event) []session.Action {
			switch e.Kind {
			case 0:
				return []session.Action{open(0), open(1), wake(now.Add(time.Hour))}
			case session.Opened:
				return []session.Action{startTLS(e.Conn, time.Hour)}
			}
			return nil
		},
	}
	for name, on := range stages {
		t.Run(name, func(t *testing.T) {
			m := &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
				if e.Kind == session.Cancelled {
					return finish(0, 1)
				}
				return on(m, now, e)
			}}
			v := newTest(t, realLoops(t), nil, func(probes.Endpoint) *script { return m })
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			began := time.Now()
			v.Visit(ctx, endpoint(addr, probes.TCP), session.Remembered{})
			if d := time.Since(began); d > time.Second {
				t.Errorf("took %v", d)
			}
			if e := m.first(t, session.Cancelled); !errors.Is(e.Err, context.DeadlineExceeded) {
				t.Errorf("cancelled by %v", e.Err)
			}
			v.Close()
			if n := v.workers[0].open + v.workers[1%len(v.workers)].open; n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

// TestClose ends visits, and refuses later ones with an answer.
func TestClose(t *testing.T) {
	silent := make(chan struct{})
	addr := serve(t, func(net.Conn) { <-silent })
	t.Cleanup(func() { close(silent) })
	v := newTest(t, realLoops(t), nil, func(probes.Endpoint) *script { return greeted() })
	var done atomic.Int32
	for range 20 {
		v.Begin(endpoint(addr, probes.TCP), session.Remembered{}, func(probes.Observation) { done.Add(1) })
	}
	v.Close()
	if n := done.Load(); n != 20 {
		t.Errorf("%d of 20 visits ended", n)
	}
	o := v.Visit(t.Context(), endpoint(addr, probes.TCP), session.Remembered{})
	if o.Outcome != probes.OutcomeInconclusive || o.Port != addr.Port() {
		t.Errorf("a visit after Close: %+v", o)
	}
	v.Close()
}

// TestManyAtOnce makes 1,000 visits at once.
func TestManyAtOnce(t *testing.T) {
	addr := serve(t, func(c net.Conn) { io.WriteString(c, "hello "+c.RemoteAddr().String()) })
	v := newTest(t, realLoops(t), nil, func(probes.Endpoint) *script { return greeted() })
	results := make(chan probes.Observation, 1000)
	for range cap(results) {
		v.Begin(endpoint(addr, probes.TCP), session.Remembered{}, func(o probes.Observation) { results <- o })
	}
	seen := map[string]bool{}
	for range cap(results) {
		seen[(<-results).Reason] = true
	}
	if len(seen) != cap(results) || !strings.HasPrefix(first(seen), "hello 127.0.0.1:") {
		t.Errorf("%d different answers, such as %q", len(seen), first(seen))
	}
	v.Close()
}

func first(m map[string]bool) string {
	for s := range m {
		return s
	}
	return ""
}

// TestLoadIsNoSilence: what came while the loop was busy is told before the
// machine is woken, though its time has long passed, and however many they are.
func TestLoadIsNoSilence(t *testing.T) {
	const n = 900 // more than any poll tells at once
	release := make(chan struct{})
	addr := serve(t, func(c net.Conn) {
		<-release
		io.WriteString(c, "late")
		io.Copy(io.Discard, c)
	})
	loops := realLoops(t)[:1]
	opened := make(chan struct{}, n)
	stalled := make(chan struct{})
	var early atomic.Int32
	v := newTest(t, loops, nil, func(probes.Endpoint) *script {
		return &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
			switch e.Kind {
			case 0:
				return []session.Action{open(0)}
			case session.Opened:
				opened <- struct{}{}
				return []session.Action{wake(now.Add(2 * time.Second))}
			case session.Woken:
				if len(m.text) == 0 {
					early.Add(1)
				}
				return finish(0)
			}
			return nil
		}}
	})
	done := make(chan struct{}, n)
	for range n {
		v.Begin(endpoint(addr, probes.TCP), session.Remembered{}, func(probes.Observation) { done <- struct{}{} })
	}
	for range n {
		<-opened
	}
	loops[0].Post(func() { <-stalled })
	close(release)
	time.Sleep(3 * time.Second) // past all times; the answers wait in the kernel
	close(stalled)
	for range n {
		<-done
	}
	if early.Load() > 0 {
		t.Errorf("%d of %d were woken before their answer was told", early.Load(), n)
	}
	v.Close()
}

func TestUDP(t *testing.T) {
	server, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 100)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			server.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	t.Cleanup(func() { server.Close(); <-done })
	addr := server.LocalAddr().(*net.UDPAddr).AddrPort()
	m := &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		switch e.Kind {
		case 0:
			return []session.Action{open(0), wake(now.Add(10 * time.Second))}
		case session.Opened:
			return []session.Action{send(0, "one "), send(0, "two "), send(0, "")}
		case session.Received:
			if len(e.Data) == 0 {
				return finish(0)
			}
		case session.Woken:
			return finish(0)
		}
		return nil
	}}
	o := visitOnce(t, addr, probes.UDP, m)
	if o.Reason != "one two " {
		t.Errorf("heard %q", o.Reason)
	}
	if e := m.first(t, session.Received); e.From != addr {
		t.Errorf("from %v", e.From)
	}
}
