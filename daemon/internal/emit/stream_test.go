package emit

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
	"go.uber.org/goleak"

	"sonde/daemon/internal/event"
)

// A receiver is a syslog server whose parser nobody here wrote.
type receiver struct {
	t    *testing.T
	addr string
	tls  *tls.Config

	mu     sync.Mutex
	l      net.Listener
	conns  []net.Conn
	wg     sync.WaitGroup
	seqs   []string
	broken []error
}

func newReceiver(t *testing.T, cfg *tls.Config) *receiver {
	r := &receiver{t: t, addr: "127.0.0.1:0", tls: cfg}
	r.start()
	t.Cleanup(r.stop)
	return r
}

// start listens, at the same address as before.
func (r *receiver) start() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	if r.tls != nil {
		l = tls.NewListener(l, r.tls)
	}
	r.l = l
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			r.wg.Go(func() { r.serve(c) })
		}
	})
}

func (r *receiver) serve(c net.Conn) {
	defer c.Close()
	p := octetcounting.NewParser(syslog.WithMaxMessageLength(maxStream), syslog.WithListener(func(res *syslog.Result) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if res.Error != nil {
			if !strings.Contains(res.Error.Error(), "EOF") { // the end is no mistake
				r.broken = append(r.broken, res.Error)
			}
			return
		}
		sd := *res.Message.(*rfc5424.SyslogMessage).StructuredData
		r.seqs = append(r.seqs, sd[sdID]["seq"])
	}))
	p.Parse(c)
	io.Copy(io.Discard, c)
}

// stop dies as a program does that is killed.
func (r *receiver) stop() {
	r.l.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.wg.Wait()
}

// await waits until the receiver has so many messages and gives their numbers.
func (r *receiver) await(n int) string {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		got, broken := strings.Join(r.seqs, " "), r.broken
		have := len(r.seqs)
		r.mu.Unlock()
		switch {
		case len(broken) > 0:
			r.t.Fatalf("the parser refuses: %v", broken)
		case have >= n:
			return got
		case time.Now().After(end):
			r.t.Fatalf("received %q, want %d messages", got, n)
		}
	}
}

func records(from, to int64) (rs []Record) {
	for seq := from; seq <= to; seq++ {
		rs = append(rs, record(seq, event.ServiceNew))
	}
	return rs
}

func mustDeliver(t *testing.T, s Sink, from, to int64) {
	t.Helper()
	rs := records(from, to)
	for end := time.Now().Add(10 * time.Second); ; {
		n, err := s.Deliver(t.Context(), rs)
		if rs = rs[n:]; err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("deliver %d to %d: %v", from, to, err)
		}
	}
}

func TestStreamCountsOctets(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	r := newReceiver(t, nil)
	defer r.stop()
	s := NewSyslog(SyslogConfig{Network: "tcp", Address: r.addr, Hostname: "h", Resend: 2, Format: Sonde})
	defer s.Close()
	mustDeliver(t, s, 1, 5)
	if got := r.await(5); got != "1 2 3 4 5" {
		t.Errorf("received %s", got)
	}
	if n, err := s.Deliver(t.Context(), []Record{hostile()}); n != 1 || err != nil {
		t.Fatal(err)
	}
	if got := r.await(6); got != "1 2 3 4 5 7" {
		t.Errorf("received %s", got)
	}
}

// TestStreamSendsTheLastAgain: each new connection begins with the last ones
// that the one before had.
func TestStreamSendsTheLastAgain(t *testing.T) {
	r := newReceiver(t, nil)
	s := NewSyslog(SyslogConfig{Network: "tcp", Address: r.addr, Hostname: "h", Resend: 3, Format: Sonde})
	defer s.Close()
	mustDeliver(t, s, 1, 5)
	r.await(5)
	r.stop()
	if n, err := s.Deliver(t.Context(), records(6, 7)); n != 0 || err == nil {
		t.Fatalf("delivered %d to a dead receiver, %v", n, err)
	}
	r.start()
	mustDeliver(t, s, 6, 7)
	if got := r.await(10); got != "1 2 3 4 5 3 4 5 6 7" {
		t.Errorf("received %s, want the last three again before the new ones", got)
	}
}

// TestStreamLosesNothing kills the receiver again and again amid deliveries.
func TestStreamLosesNothing(t *testing.T) {
	r := newReceiver(t, nil)
	s := NewSyslog(SyslogConfig{Network: "tcp", Address: r.addr, Hostname: "h", Resend: 64, Format: Sonde})
	defer s.Close()
	const rounds, each = 20, 50
	var killer sync.WaitGroup
	for i := range int64(rounds) {
		killer.Go(func() {
			time.Sleep(time.Duration(i%5) * time.Millisecond)
			r.stop()
			r.start()
		})
		mustDeliver(t, s, i*each+1, (i+1)*each)
		killer.Wait()
	}
	mustDeliver(t, s, rounds*each+1, rounds*each+1)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		have := map[string]bool{}
		for _, seq := range r.seqs {
			have[seq] = true
		}
		r.mu.Unlock()
		if len(have) == rounds*each+1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("received %d of %d", len(have), rounds*each+1)
		}
	}
}

// TestStreamWaitsForASlowReceiver: what does not fit into the buffers holds the
// cursor, and the end of the context ends the wait.
func TestStreamWaitsForASlowReceiver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what is acknowledged")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := NewSyslog(SyslogConfig{Network: "tcp", Address: l.Addr().String(), Hostname: "h", Resend: 64, Format: Sonde})
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	long := slices.Repeat([]Record{hostile()}, 10_000)
	n, err := s.Deliver(ctx, long) // nobody reads
	if err == nil || n == len(long) || n%64 != 0 {
		t.Errorf("delivered %d of %d to a receiver that does not read, %v", n, len(long), err)
	}
}

func TestStreamOverTLS(t *testing.T) {
	ca := newAuthority(t, t.TempDir(), "ca")
	pair := ca.issue(t, "server.example")
	ca.issue(t, "sensor")
	r := newReceiver(t, &tls.Config{Certificates: []tls.Certificate{pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool()})
	files := TLSFiles{CA: ca.file("ca.crt"), Certificate: ca.file("sensor.crt"), Key: ca.file("sensor.key"),
		ServerName: "server.example"}
	cfg := SyslogConfig{Network: "tls", Address: r.addr, Hostname: "h", Resend: 3, Format: Sonde, TLS: files.Load}
	s := NewSyslog(cfg)
	defer s.Close()
	mustDeliver(t, s, 1, 4)
	if got := r.await(4); got != "1 2 3 4" {
		t.Errorf("received %s", got)
	}

	stranger := newAuthority(t, t.TempDir(), "stranger")
	stranger.issue(t, "sensor")
	for name, c := range map[string]struct {
		change func(*TLSFiles)
		want   string
	}{
		"unknown authority": {func(f *TLSFiles) { f.CA = stranger.file("stranger.crt") }, "unknown authority"},
		"wrong name":        {func(f *TLSFiles) { f.ServerName = "other.example" }, "not other.example"},
		"no certificate":    {func(f *TLSFiles) { f.Certificate, f.Key = "", "" }, "certificate required"},
		"certificate of a stranger": {func(f *TLSFiles) {
			f.Certificate, f.Key = stranger.file("sensor.crt"), stranger.file("sensor.key")
		}, "remote error: tls"},
		"no file": {func(f *TLSFiles) { f.CA = "/nowhere/ca.pem" }, "ca: open /nowhere/ca.pem"},
	} {
		f := files
		c.change(&f)
		bad := cfg
		bad.TLS = f.Load
		s := NewSyslog(bad)
		n, err := s.Deliver(t.Context(), records(5, 5))
		if n != 0 || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: delivered %d, error %v, want one with %q", name, n, err, c.want)
		}
		s.Close()
	}
	if got := r.await(4); got != "1 2 3 4" {
		t.Errorf("received %s, want nothing of those that were refused", got)
	}
}

func TestTLSFilesErrorsNameTheFile(t *testing.T) {
	ca := newAuthority(t, t.TempDir(), "ca")
	ca.issue(t, "a")
	ca.issue(t, "b")
	for _, c := range []struct {
		f    TLSFiles
		want string
	}{
		{TLSFiles{CA: ca.file("a.key")}, "ca: " + ca.file("a.key") + " holds no certificate"},
		{TLSFiles{Certificate: ca.file("none"), Key: ca.file("a.key")}, "certificate: open " + ca.file("none")},
		{TLSFiles{Certificate: ca.file("a.crt"), Key: ca.file("none")}, "key: open " + ca.file("none")},
		{TLSFiles{Certificate: ca.file("a.crt"), Key: ca.file("b.key")}, "private key does not match"},
	} {
		if _, err := c.f.Load(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.f, err, c.want)
		}
	}
	cfg, err := TLSFiles{CA: ca.file("ca.crt"), Certificate: ca.file("a.crt"), Key: ca.file("a.key")}.Load()
	if err != nil || cfg.MinVersion != tls.VersionTLS12 || len(cfg.Certificates) != 1 {
		t.Errorf("%v %v", fmt.Sprint(cfg), err)
	}
}

// TestStreamSendsTheLastAgainAfterARestart: what an earlier program delivered
// last, and nothing from before the sink began.
func TestStreamSendsTheLastAgainAfterARestart(t *testing.T) {
	for _, tt := range []struct {
		begun int64
		want  string
	}{{0, "2 3 4 5 6 7"}, {3, "4 5 6 7"}, {5, "6 7"}} {
		r := newReceiver(t, nil)
		box := &outbox{cursors: map[string]int64{"syslog": 5}}
		for range 7 {
			box.add(event.ServiceGone)
		}
		box.records[0].Event.Silenced = true
		s := NewSyslog(SyslogConfig{Name: "syslog", Network: "tcp", Address: r.addr, Resend: 4})
		d := &Drain{Source: box, Sink: s, Begun: tt.begun}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		d.Epoch, d.Log, d.FlushTimeout = testEpoch, slog.New(slog.DiscardHandler), time.Second
		go func() { done <- d.Run(ctx, func() {}) }()
		if got := r.await(len(strings.Fields(tt.want))); got != tt.want {
			t.Errorf("began after %d: got %s, want %s", tt.begun, got, tt.want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
