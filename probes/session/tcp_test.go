package session

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
	"sonde/probes/ports"
)

const (
	page = "HTTP/1.1 200 OK\r\nServer: Boxweb/1.2\r\nContent-Length: 18\r\n\r\n<title>Box</title>"
	web  = "HTTP/1.1 200 OK\r\nServer: Boxweb/1.2\r\n\r\n<title>Box</title>"
)

// write sends text in one segment.
func write(text string) func(*server, net.Conn) {
	return func(_ *server, c net.Conn) {
		io.WriteString(c, text)
		drain(c)
	}
}

// answer replies to one request and keeps the connection.
func reply(text string) func(*server, net.Conn) {
	return func(s *server, c net.Conn) {
		if s.request(c) != "" {
			io.WriteString(c, text)
		}
		drain(c)
	}
}

func TestConversations(t *testing.T) {
	tests := []struct {
		name        string
		talk        func(*server, net.Conn)
		want        summary
		connections int // 0: any number
	}{
		{
			name: "SSH greets",
			talk: write("SSH-2.0-OpenSSH_9.2p1\r\n\x00\x00\x01\x14"),
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "ssh", "OpenSSH", "9.2p1", "NULL", "", probes.Open,
			},
			connections: 1,
		},
		{
			name: "HTTP with a length, connection kept",
			talk: reply(page),
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "http", "Boxweb", "1.2", "GetRequest", "", probes.Open,
			},
			connections: 2,
		},
		{
			name: "HTTP that settles",
			talk: reply(web),
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "http", "Boxweb", "1.2", "GetRequest", "", probes.Open,
			},
			connections: 2,
		},
		{
			name: "soft greeting, then the probe of that service on the same connection",
			talk: func(s *server, c net.Conn) {
				io.WriteString(c, "220 box FTP ready\r\n")
				if s.request(c) == "HELP\r\n" {
					io.WriteString(c, "214 Boxftp 3.1\r\n")
				}
				drain(c)
			},
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "ftp", "Boxftp", "3.1", "FTPHelp", "", probes.Open,
			},
			connections: 1,
		},
		{
			name: "soft greeting and no more",
			talk: write("220 box FTP ready\r\n"),
			want: summary{
				probes.OutcomeAnswered, probes.Soft, "ftp", "", "", "NULL", "", probes.Open,
			},
		},
		{
			name: "fallback of a probe",
			talk: func(s *server, c net.Conn) {
				if s.request(c) == "HELLO\r\n" {
					io.WriteString(c, web)
				}
			},
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "http", "Boxweb", "1.2", "Hello", "", probes.Open,
			},
		},
		{
			name: "greeting after the grace wins over the probe",
			talk: func(s *server, c net.Conn) {
				if s.count() > 1 { // beside the NULL connection
					time.Sleep(200 * time.Millisecond)
					s.request(c)
					io.WriteString(c, page)
					return
				}
				time.Sleep(100 * time.Millisecond)
				io.WriteString(c, "LATE 7\r\n")
				drain(c)
			},
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "late", "Latecomer", "7", "NULL", "", probes.Open,
			},
			connections: 2,
		},
		{
			name:        "tcpwrapped",
			talk:        func(*server, net.Conn) {},
			want:        summary{Outcome: probes.OutcomeTCPWrapped, Strength: probes.Unmatched, State: probes.Open},
			connections: 1,
		},
		{
			name: "closes each probe without a byte",
			talk: func(s *server, c net.Conn) { s.request(c) },
			want: summary{Outcome: probes.OutcomeSilent, Strength: probes.Unmatched, State: probes.Open},
		},
		{
			name: "accepts and stays silent",
			talk: func(s *server, c net.Conn) { drain(c) },
			want: summary{Outcome: probes.OutcomeSilent, Strength: probes.Unmatched, State: probes.Open},
		},
		{
			name: "unknown answer",
			talk: reply("WHAT?\r\n"),
			want: summary{Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched, State: probes.Open},
		},
		{
			name: "reset in the middle of an answer",
			talk: func(s *server, c net.Conn) {
				s.request(c)
				io.WriteString(c, "HTTP/1.1 200")
				c.(*net.TCPConn).SetLinger(0)
			},
			want: summary{Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched, State: probes.Open},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "tcp4", tt.talk)
			settings := quick()
			settings.MaxWait = 4 * time.Second
			o := visitServer(t, s, settings, Remembered{})
			if diff := cmp.Diff(tt.want, summarize(o)); diff != "" {
				t.Error(diff, o.Errors)
			}
			if n := s.count(); tt.connections != 0 && n != tt.connections || o.Cost.Connections != n {
				t.Errorf("%d connections, cost says %d, want %d", n, o.Cost.Connections, tt.connections)
			}
		})
	}
}

func TestReset(t *testing.T) {
	s := serve(t, "tcp4", func(_ *server, c net.Conn) { c.(*net.TCPConn).SetLinger(0) })
	o := visitServer(t, s, quick(), Remembered{})
	// Depending on when the reset arrives it hits the connect or the read.
	if o.Outcome != probes.OutcomeTCPWrapped && o.Outcome != probes.OutcomeRefused {
		t.Errorf("outcome %s", o.Outcome)
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	o := visitServer(t, &server{addr: addr}, quick(), Remembered{Probe: "NULL"})
	want := summary{Outcome: probes.OutcomeRefused, Strength: probes.Unmatched, State: probes.Closed}
	if diff := cmp.Diff(want, summarize(o)); diff != "" {
		t.Error(diff)
	}
	if o.Reason != "conn-refused" || o.Cost.Connections != 1 {
		t.Errorf("reason %q after %d connections", o.Reason, o.Cost.Connections)
	}
}

func TestIPv6(t *testing.T) {
	s := serve(t, "tcp6", write("SSH-2.0-OpenSSH_9.2p1\r\n"))
	if o := visitServer(t, s, quick(), Remembered{}); o.Product != "OpenSSH" {
		t.Errorf("%+v", summarize(o))
	}
}

func TestSilentPortKeepsToTheWaitingBudget(t *testing.T) {
	s := serve(t, "tcp4", func(_ *server, c net.Conn) { drain(c) })
	settings := quick()
	settings.MaxWait = 1500 * time.Millisecond
	start := time.Now()
	o := visitServer(t, s, settings, Remembered{})
	if took := time.Since(start); took > settings.MaxWait+time.Second {
		t.Errorf("took %v", took)
	}
	if o.Outcome != probes.OutcomeSilent {
		t.Errorf("outcome %s", o.Outcome)
	}
	if !slices.ContainsFunc(o.Errors, func(e string) bool {
		return strings.Contains(e, "waiting budget") && strings.Contains(e, "TLSSessionReq")
	}) {
		t.Errorf("what was not tried is not recorded: %q", o.Errors)
	}
}

func TestProbeBudget(t *testing.T) {
	s := serve(t, "tcp4", reply("WHAT?\r\n"))
	settings := quick()
	settings.MaxProbes = 1
	o := visitServer(t, s, settings, Remembered{})
	if o.Cost.Probes != 1 || len(s.requests()) != 1 {
		t.Errorf("%d probes, requests %q", o.Cost.Probes, s.requests())
	}
	if o.Evidence == nil || string(o.Evidence.Answer) != "WHAT?\r\n" || o.Evidence.Probe != "GetRequest" {
		t.Errorf("evidence %+v", o.Evidence)
	}
}

func TestEndlessData(t *testing.T) {
	s := serve(t, "tcp4", func(s *server, c net.Conn) {
		chunk := strings.Repeat("x", 1000)
		for s.count() < 100 {
			if _, err := io.WriteString(c, chunk); err != nil {
				return
			}
		}
	})
	settings := quick()
	settings.MaxBytes = 64 << 10
	start := time.Now()
	o := visitServer(t, s, settings, Remembered{})
	if o.Cost.BytesIn > settings.MaxBytes || time.Since(start) > 3*time.Second {
		t.Errorf("%d bytes in %v", o.Cost.BytesIn, time.Since(start))
	}
	if o.Product != "Bulk" || len(o.Evidence.Answer) != settings.MaxAnswer {
		t.Errorf("%+v, evidence of %d bytes", summarize(o), len(o.Evidence.Answer))
	}
}

// A tarpit that never lets an answer settle is inconclusive, whatever it says.
func TestDrip(t *testing.T) {
	s := serve(t, "tcp4", func(s *server, c net.Conn) {
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	settings := quick()
	settings.MaxWait = 2 * time.Second
	o := visitServer(t, s, settings, Remembered{})
	if o.Outcome != probes.OutcomeInconclusive {
		t.Errorf("outcome %s after %d bytes, %q", o.Outcome, o.Cost.BytesIn, o.Errors)
	}
}

func TestServerOfOneClientAtATime(t *testing.T) {
	turn := make(chan struct{}, 1)
	s := serve(t, "tcp4", func(s *server, c net.Conn) {
		turn <- struct{}{}
		defer func() { <-turn }()
		if s.request(c) != "" {
			io.WriteString(c, page)
		}
	})
	text := strings.Replace(testDatabase, "totalwaitms 1200", "totalwaitms 6000", 1)
	text = strings.ReplaceAll(text, "totalwaitms 1000", "totalwaitms 5000")
	db := load(t, text, s.addr.Port(), false)
	o := newProber(t, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
	if o.Product != "Boxweb" || o.Cost.Connections != 2 {
		t.Errorf("%+v after %d connections, %q", summarize(o), o.Cost.Connections, o.Errors)
	}
}

func TestRememberedProbe(t *testing.T) {
	greet := "SSH-2.0-OpenSSH_9.2p1\r\n"
	tests := []struct {
		name        string
		talk        func(*server, net.Conn)
		known       Remembered
		product     string
		connections int
		requests    []string
	}{
		{"greeting", write(greet), Remembered{Probe: "NULL"}, "OpenSSH", 1, nil},
		{
			"request", reply(page), Remembered{Probe: "GetRequest"},
			"Boxweb", 1, []string{"GET / HTTP/1.0\r\n\r\n"},
		},
		{
			"another service by now", reply("HI 4\r\n"), Remembered{Probe: "NULL"},
			"Hello", 4, []string{"GET / HTTP/1.0\r\n\r\n", "HELLO\r\n"},
		},
		{"a probe that is gone", write(greet), Remembered{Probe: "Nothing"}, "OpenSSH", 1, nil},
		{
			"only a soft match, as before", write("220 FTP\r\n"),
			Remembered{Probe: "NULL", Soft: "ftp"}, "", 1, nil,
		},
		{
			"not allowed any more", write(greet), Remembered{Probe: "Login"}, "OpenSSH", 1, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "tcp4", tt.talk)
			o := visitServer(t, s, quick(), tt.known)
			if o.Product != tt.product || s.count() != tt.connections {
				t.Errorf("%+v after %d connections", summarize(o), s.count())
			}
			if diff := cmp.Diff(tt.requests, s.requests()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKnownServiceThatClosesAtOnceIsBlocked(t *testing.T) {
	s := serve(t, "tcp4", func(*server, net.Conn) {})
	o := visitServer(t, s, quick(), Remembered{Probe: "NULL"})
	if o.Outcome != probes.OutcomeBlocked {
		t.Errorf("outcome %s", o.Outcome)
	}
}

// The same bytes cut anywhere, with gaps below the settle time, give the same
// identity over a real connection too.
func TestSegmentationDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, text := range []string{page, web} {
		for i := range 6 {
			cuts := []int{1 + rng.IntN(len(text)-2), 1 + rng.IntN(len(text)-2), len(text)}
			slices.Sort(cuts)
			t.Run(fmt.Sprint(i, cuts), func(t *testing.T) {
				t.Parallel()
				s := serve(t, "tcp4", func(s *server, c net.Conn) {
					if s.request(c) == "" {
						return
					}
					from := 0
					for _, to := range cuts {
						io.WriteString(c, text[from:to])
						time.Sleep(30 * time.Millisecond)
						from = to
					}
					drain(c)
				})
				settings := quick()
				settings.Settle = 300 * time.Millisecond
				o := visitServer(t, s, settings, Remembered{Probe: "GetRequest"})
				if o.Product != "Boxweb" || o.Version != "1.2" || string(o.Evidence.Answer) != text {
					t.Errorf("%+v, evidence %q", summarize(o), o.Evidence.Answer)
				}
			})
		}
	}
}

func TestCredentialProbesAreNotSent(t *testing.T) {
	s := serve(t, "tcp4", func(s *server, c net.Conn) {
		if s.request(c) == "LOGIN guest\r\n" {
			io.WriteString(c, "OK\r\n")
		}
	})
	if o := visitServer(t, s, quick(), Remembered{}); o.Service != "" {
		t.Errorf("asked with a credential: %+v", summarize(o))
	}
	settings := quick()
	settings.Allow.Credentials = true
	if o := visitServer(t, s, settings, Remembered{}); o.Service != "login" {
		t.Errorf("not asked with a credential: %+v", summarize(o))
	}
}

func TestHeld(t *testing.T) {
	text := "Exclude T:7\n" + testDatabase + `
# needs: industrial
Probe TCP Controller q|\x01\x02|
ports 4000
match controller m|^c|
`
	db := load(t, text, 80, false)
	tests := []struct {
		transport probes.Transport
		port      uint16
		reason    string
	}{
		{probes.TCP, 7, "excluded"},
		{probes.TCP, 9100, "print port"},
		{probes.TCP, 9116, "print port"},
		{probes.TCP, 9999, "print port"},
		{probes.TCP, 502, "industrial port"},
		{probes.TCP, 4000, "industrial port"},
		{probes.UDP, 47808, "industrial port"},
	}
	for _, tt := range tests {
		p, err := New(Config{Database: db, Settings: quick(), Dialer: noDialer{t}})
		if err != nil {
			t.Fatal(err)
		}
		ep := probes.Endpoint{Addr: loopback, Port: tt.port, Transport: tt.transport}
		o := p.Visit(t.Context(), ep, Remembered{})
		if o.Outcome != probes.OutcomeHeld || o.Reason != tt.reason || o.State != "" {
			t.Errorf("%s/%d: %s, %q, state %q", tt.transport, tt.port, o.Outcome, o.Reason, o.State)
		}
		if o.Service != ports.Name(tt.port, string(tt.transport)) || o.Strength == probes.Hard {
			t.Errorf("%s/%d: %s service %q", tt.transport, tt.port, o.Strength, o.Service)
		}
	}
}

func TestCancelledVisitEndsAtOnce(t *testing.T) {
	s := serve(t, "tcp4", func(_ *server, c net.Conn) { drain(c) })
	db := load(t, testDatabase, s.addr.Port(), false)
	ctx, cancel := context.WithCancel(t.Context())
	var at time.Time
	timer := time.AfterFunc(200*time.Millisecond, func() { at = time.Now(); cancel() })
	defer timer.Stop()
	o := newProber(t, db, quick()).Visit(ctx, endpoint(s), Remembered{})
	if took := time.Since(at); took > 100*time.Millisecond {
		t.Errorf("ended %v after the cancel", took)
	}
	if o.Outcome != probes.OutcomeInconclusive || o.Reason != "cancelled" {
		t.Errorf("%s, %q", o.Outcome, o.Reason)
	}
}

func TestWallLimit(t *testing.T) {
	s := serve(t, "tcp4", func(_ *server, c net.Conn) { drain(c) })
	settings := quick()
	settings.WallLimit = 200 * time.Millisecond
	o := visitServer(t, s, settings, Remembered{})
	if o.Outcome != probes.OutcomeInconclusive || !strings.HasPrefix(o.Reason, "wall clock") {
		t.Errorf("%s, %q", o.Outcome, o.Reason)
	}
}
