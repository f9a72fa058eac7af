package visitor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sonde/probes"
	"sonde/probes/session"
	"sonde/probes/tlsprobe"
)

// certificate makes a self-signed one.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1),
		Subject:  pkix.Name{CommonName: "tunnel.example"},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS answers each connection that completes a handshake.
func serveTLS(t testing.TB, cfg *tls.Config, handle func(*tls.Conn)) probes.Endpoint {
	t.Helper()
	cfg.Certificates = []tls.Certificate{certificate(t)}
	return endpoint(serve(t, func(c net.Conn) {
		inside := tls.Server(c, cfg)
		if inside.Handshake() == nil {
			handle(inside)
		}
	}), probes.TCP)
}

// inTunnel is a script that sends a request in a tunnel, if it is not empty,
// and hears it to its end.
func inTunnel(request string, limit time.Duration) *script {
	return &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		switch e.Kind {
		case 0:
			return []session.Action{open(0), wake(now.Add(10 * time.Second))}
		case session.Opened:
			return []session.Action{startTLS(0, limit)}
		case session.Secured:
			if request != "" {
				return []session.Action{send(0, request)}
			}
		case session.Ended, session.Unsecured:
			return finish()
		case session.Woken, session.Cancelled:
			return finish(0)
		}
		return nil
	}}
}

// visitTunnel makes one visit with the real engine and leaves nothing behind.
func visitTunnel(t *testing.T, ep probes.Endpoint, m *script) probes.Observation {
	t.Helper()
	v := newTest(t, realLoops(t), nil, func(probes.Endpoint) *script { return m })
	o := v.Visit(t.Context(), ep, session.Remembered{})
	v.Close()
	for _, w := range v.workers {
		if w.open != 0 || len(w.visits) != 0 || len(w.linger) != 0 {
			t.Errorf("left over: %d connections, %d visits, %d lingering", w.open, len(w.visits), len(w.linger))
		}
	}
	return o
}

func TestTunnel(t *testing.T) {
	page := strings.Repeat("0123456789abcdef", 4<<10) // 64 KiB
	for version, name := range map[uint16]string{tls.VersionTLS10: "TLS 1.0", tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		t.Run(name, func(t *testing.T) {
			byClient := make(chan error, 1)
			ep := serveTLS(t, &tls.Config{MinVersion: version, MaxVersion: version}, func(c *tls.Conn) {
				buf := make([]byte, 100)
				n, _ := io.ReadFull(c, buf[:len("hello")])
				io.WriteString(c, string(buf[:n])+page)
				c.CloseWrite()
				_, err := c.Read(buf) // the goodbye
				byClient <- err
			})
			m := inTunnel("hello", time.Second)
			o := visitTunnel(t, ep, m)
			if o.Reason != "hello"+page {
				t.Errorf("heard %d bytes", len(o.Reason))
			}
			e := m.first(t, session.Secured)
			if e.TLS.Facts.Version != name || !strings.Contains(e.TLS.Facts.Certificate.Subject, "tunnel.example") {
				t.Errorf("facts %+v", e.TLS.Facts)
			}
			if e.TLS.BytesOut < 200 || e.TLS.BytesOut > 2000 || e.TLS.BytesIn < 400 || e.TLS.BytesIn > 4000 {
				t.Errorf("a handshake of %d bytes out, %d in", e.TLS.BytesOut, e.TLS.BytesIn)
			}
			if e := m.first(t, session.Ended); !errors.Is(e.Err, io.EOF) {
				t.Errorf("ended by %v", e.Err)
			}
			if err := <-byClient; !errors.Is(err, io.EOF) {
				t.Errorf("the server saw no goodbye but %v", err)
			}
			sent := 0
			for _, k := range m.kinds() {
				if k == session.Sent {
					sent++
				}
			}
			if sent != 1 {
				t.Errorf("told %d times that one request was sent", sent)
			}
		})
	}
}

// TestCloseInTunnel: a machine that has heard enough closes, and the server
// gets the protocol's own goodbye.
func TestCloseInTunnel(t *testing.T) {
	byClient := make(chan error, 1)
	ep := serveTLS(t, &tls.Config{}, func(c *tls.Conn) {
		io.WriteString(c, "enough")
		_, err := c.Read(make([]byte, 1))
		byClient <- err
	})
	m := inTunnel("", time.Second)
	hear := m.on
	m.on = func(m *script, now time.Time, e session.Event) []session.Action {
		if e.Kind == session.Received {
			return finish(0)
		}
		return hear(m, now, e)
	}
	if o := visitTunnel(t, ep, m); o.Reason != "enough" {
		t.Errorf("heard %q", o.Reason)
	}
	if err := <-byClient; !errors.Is(err, io.EOF) {
		t.Errorf("the server saw no goodbye but %v", err)
	}
}

// A glue holds back what is written once the first flight of the server is out,
// so that its last and all that follows goes out as one segment.
type glue struct {
	net.Conn
	wrote, hold bool
	held        []byte
}

func (g *glue) Read(b []byte) (int, error) {
	g.hold = g.wrote
	return g.Conn.Read(b)
}

func (g *glue) Write(b []byte) (int, error) {
	g.wrote = true
	if g.hold {
		g.held = append(g.held, b...)
		return len(b), nil
	}
	return g.Conn.Write(b)
}

// TestAnswerBehindHandshake: what comes in one segment with the last bytes of
// the handshake (TLS 1.2), or with the goodbye (TLS 1.3), is not lost.
func TestAnswerBehindHandshake(t *testing.T) {
	for version, least := range map[uint16]int{tls.VersionTLS12: 100, tls.VersionTLS13: 50} {
		cert := certificate(t)
		addr := serve(t, func(c net.Conn) {
			g := &glue{Conn: c}
			inside := tls.Server(g, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version})
			if err := inside.Handshake(); err != nil {
				t.Error(err)
				return
			}
			io.WriteString(inside, "220 at once\r\n")
			inside.CloseWrite()
			c.SetWriteDeadline(time.Time{})
			if len(g.held) < least {
				t.Errorf("only %d bytes were held back", len(g.held))
			}
			c.Write(g.held)
		})
		m := inTunnel("", time.Second)
		if o := visitTunnel(t, endpoint(addr, probes.TCP), m); o.Reason != "220 at once\r\n" {
			t.Errorf("%s: heard %q, ended by %v", tls.VersionName(version), o.Reason, m.events)
		}
	}
}

// TestClientCertificateDemanded: the alert arrives as the end of the handshake,
// or with TLS 1.3 as that of the tunnel.
func TestClientCertificateDemanded(t *testing.T) {
	for version, want := range map[uint16]string{
		tls.VersionTLS12: "handshake failure", tls.VersionTLS13: "certificate required",
	} {
		ep := serveTLS(t, &tls.Config{MaxVersion: version, ClientAuth: tls.RequireAnyClientCert}, func(*tls.Conn) {})
		m := inTunnel("GET / HTTP/1.0\r\n\r\n", time.Second)
		visitTunnel(t, ep, m)
		var err error
		for _, e := range m.events {
			if e.Kind == session.Unsecured || e.Kind == session.Ended {
				err = e.Err
			}
		}
		if alert := tlsprobe.Alert(err); alert != want {
			t.Errorf("%s: ended by %v, alert %q, want %q", tls.VersionName(version), err, alert, want)
		}
	}
}

// TestHandshakeFails ends handshakes in each way, and names the end.
func TestHandshakeFails(t *testing.T) {
	cut := func(after int, end func(net.Conn)) func(net.Conn) { // a real server, cut off in its flight
		cert := certificate(t)
		return func(c net.Conn) {
			tls.Server(&cutter{Conn: c, left: after}, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
			end(c)
		}
	}
	reset := func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }
	stall := func(c net.Conn) { io.Copy(io.Discard, c) }
	hello := func(c net.Conn) { c.Read(make([]byte, 4<<10)) }
	for _, tt := range []struct {
		name   string
		handle func(net.Conn)
		alert  string // Facts.Alert
		spoke  bool
		silent bool
		is     error
	}{
		{"closed at once", func(c net.Conn) { hello(c) }, "closed", false, true, io.EOF},
		{"reset at once", func(c net.Conn) { hello(c); reset(c) }, "reset", false, true, nil},
		{"silent", stall, "timeout", false, true, os.ErrDeadlineExceeded},
		{"text", func(c net.Conn) { io.WriteString(c, "220 not TLS\r\n"); stall(c) }, "not TLS", false, false, nil},
		{"closed in a record header", cut(3, func(net.Conn) {}), "closed", false, false, nil},
		{"closed in the flight", cut(100, func(net.Conn) {}), "closed", true, false, nil},
		{"reset in the flight", cut(100, func(c net.Conn) { time.Sleep(50 * time.Millisecond); reset(c) }), "reset", true, false, nil},
		{"stalled in the flight", cut(100, stall), "timeout", true, false, os.ErrDeadlineExceeded},
		{"garbage in the flight", cut(100, func(c net.Conn) { c.Write(bytes.Repeat([]byte{0xff}, 4000)); stall(c) }), "", true, false, nil},
		{"alert", func(c net.Conn) { hello(c); c.Write([]byte{21, 3, 3, 0, 2, 2, 40}) }, "handshake failure", true, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := inTunnel("", 300*time.Millisecond)
			visitTunnel(t, endpoint(serve(t, tt.handle), probes.TCP), m)
			e := m.first(t, session.Unsecured)
			failed, ok := errors.AsType[*tlsprobe.HandshakeError](e.Err)
			if !ok {
				t.Fatalf("ended by %v", e.Err)
			}
			if tt.alert != "" && e.TLS.Facts.Alert != tt.alert {
				t.Errorf("alert %q (%v), want %q", e.TLS.Facts.Alert, e.Err, tt.alert)
			}
			if failed.SpokeTLS != tt.spoke || failed.Silent != tt.silent {
				t.Errorf("spoke %v, silent %v, want %v, %v", failed.SpokeTLS, failed.Silent, tt.spoke, tt.silent)
			}
			if tt.is != nil && !errors.Is(e.Err, tt.is) {
				t.Errorf("ended by %v, want %v", e.Err, tt.is)
			}
		})
	}
}

// A cutter lets so many bytes out and drops the others.
type cutter struct {
	net.Conn
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	if _, err := c.Conn.Write(b[:n]); err != nil || n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// TestHandshakeFlood: a handshake reads no more than it may, and what a peer
// sends beyond what we hold is not kept.
func TestHandshakeFlood(t *testing.T) {
	var flooded atomic.Int64
	// Records of a handshake message that is as long as may be announced.
	record := append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 1<<14)...)
	addr := serve(t, func(c net.Conn) {
		for {
			n, err := c.Write(record)
			if flooded.Add(int64(n)); err != nil {
				return
			}
		}
	})
	m := inTunnel("", 5*time.Second)
	start := m.on
	m.on = func(m *script, now time.Time, e session.Event) []session.Action {
		as := start(m, now, e)
		if e.Kind == session.Opened {
			as[0].MaxBytes = 1000
		}
		return as
	}
	visitTunnel(t, endpoint(addr, probes.TCP), m)
	e := m.first(t, session.Unsecured)
	if !errors.Is(e.Err, session.ErrHandshakeBytes) || e.TLS.BytesIn != 1000 {
		t.Errorf("ended by %v after %d bytes", e.Err, e.TLS.BytesIn)
	}
}

// TestTunnelFlood: a peer that sends faster than we decrypt is cut off, after
// all that we could hold was heard.
func TestTunnelFlood(t *testing.T) {
	ep := serveTLS(t, &tls.Config{}, func(c *tls.Conn) {
		for chunk := make([]byte, 16<<10); ; {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	})
	const enough = 300 << 10
	m := inTunnel("", time.Second)
	hear := m.on
	heard := 0
	m.on = func(m *script, now time.Time, e session.Event) []session.Action {
		if e.Kind == session.Received {
			m.text, m.events = nil, nil
			if heard += len(e.Data); heard >= enough {
				return finish(0)
			}
			time.Sleep(10 * time.Microsecond) // the machine is busy
		}
		return hear(m, now, e)
	}
	visitTunnel(t, ep, m)
	if heard < enough {
		t.Errorf("heard %d bytes, ended by %v", heard, m.events)
	}
}

// A drip is a connection whose writes arrive in pieces once it is told so.
type drip struct {
	net.Conn
	slow atomic.Bool
}

func (d *drip) Write(b []byte) (int, error) {
	const piece, pause = 100, 150 * time.Millisecond
	if !d.slow.Load() {
		return d.Conn.Write(b)
	}
	n := 0
	for p := range slices.Chunk(b, piece) {
		if _, err := d.Conn.Write(p); err != nil {
			return n, err
		}
		n += len(p)
		time.Sleep(pause)
	}
	return n, nil
}

// TestRecordInPieces: while the segments of one record arrive, the peer is not
// silent, though none of them can be read before the last.
func TestRecordInPieces(t *testing.T) {
	cfg := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	ep := endpoint(serve(t, func(c net.Conn) {
		d := &drip{Conn: c}
		inside := tls.Server(d, cfg)
		if inside.Handshake() != nil {
			return
		}
		inside.Read(make([]byte, 100))
		io.WriteString(inside, "ok")
		d.slow.Store(true)
		io.WriteString(inside, strings.Repeat(" ", 500)+"Box 7")
		io.Copy(io.Discard, inside)
	}), probes.TCP)
	v := wholeVisitorOf(t, "Probe TCP NULL q||\nProbe TCP Ask q|ASK|\nrarity 1\nsslports 1-65535\n"+
		"match ask m|^ok +Box (\\d)| p/Box/ v/$1/\nsoftmatch ask m|^ok|\n")
	o := v.Visit(t.Context(), ep, session.Remembered{Probe: "Ask", Tunnel: probes.TLS})
	if o.Strength != probes.Hard || o.Version != "7" {
		t.Errorf("%s, %s, errors %q", o.Strength, o.Identity, o.Errors)
	}
}
