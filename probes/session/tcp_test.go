package session

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
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
			want: summary{Outcome: probes.OutcomeTCPWrapped, Strength: probes.Unmatched, State: probes.Open},
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
				reset(c)
			},
			want: summary{Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched, State: probes.Open},
		},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			s := serve(t, tt.talk)
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
	s := serveLoopback(t, "tcp4", func(_ *server, c net.Conn) { reset(c) })
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

// Over real sockets: what the tests in memory take for granted.
func TestLoopback(t *testing.T) {
	for name, talk := range map[string]func(*server, net.Conn){
		"greeting": write("SSH-2.0-OpenSSH_9.2p1\r\n"),
		"page":     reply(page),
		"tunnel":   inside(newTLSConfig(t), reply(page)),
	} {
		t.Run(name, func(t *testing.T) {
			s := serveLoopback(t, "tcp4", talk)
			first := visitServer(t, s, DefaultSettings(), Remembered{})
			again := visitServer(t, s, DefaultSettings(), Recall(&first))
			if diff := cmp.Diff(summarize(first), summarize(again)); diff != "" {
				t.Error(diff)
			}
			if first.Version == "" || again.Cost.Connections != 1 {
				t.Errorf("%+v, then %d connections", summarize(first), again.Cost.Connections)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	s := serveLoopback(t, "tcp6", write("SSH-2.0-OpenSSH_9.2p1\r\n"))
	if o := visitServer(t, s, quick(), Remembered{}); o.Product != "OpenSSH" {
		t.Errorf("%+v", summarize(o))
	}
}

func TestServerOfOneClientAtATime(t *testing.T) {
	synctest.Test(t, serverOfOneClientAtATime)
}

func serverOfOneClientAtATime(t *testing.T) {
	turn := make(chan struct{}, 1)
	s := serve(t, func(s *server, c net.Conn) {
		turn <- struct{}{}
		defer func() { <-turn }()
		if s.request(c) != "" {
			io.WriteString(c, page)
		}
	})
	text := strings.Replace(testDatabase, "totalwaitms 1200", "totalwaitms 6000", 1)
	text = strings.ReplaceAll(text, "totalwaitms 600", "totalwaitms 5000")
	db := load(t, text, s.addr.Port(), false)
	o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
	if o.Product != "Boxweb" || o.Cost.Connections != 2 {
		t.Errorf("%+v after %d connections, %q", summarize(o), o.Cost.Connections, o.Errors)
	}
}

// The same bytes cut anywhere, with gaps below the settle time, give the same
// identity over a connection too.
func TestSegmentationDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, text := range []string{page, web} {
		for i := range 20 {
			cuts := []int{1 + rng.IntN(len(text)-2), 1 + rng.IntN(len(text)-2), len(text)}
			slices.Sort(cuts)
			pause := time.Duration(rng.IntN(399)) * time.Millisecond // below the settle time
			bubble(t, fmt.Sprint(i, cuts), func(t *testing.T) {
				s := serve(t, func(s *server, c net.Conn) {
					if s.request(c) == "" {
						return
					}
					from := 0
					for _, to := range cuts {
						io.WriteString(c, text[from:to])
						time.Sleep(pause)
						from = to
					}
					drain(c)
				})
				patient := strings.ReplaceAll(testDatabase, "totalwaitms 600", "totalwaitms 5000")
				p := newProber(t, s, load(t, patient, s.addr.Port(), false), DefaultSettings())
				o := p.Visit(t.Context(), endpoint(s), Remembered{Probe: "GetRequest"})
				if o.Product != "Boxweb" || o.Cost.Connections != 1 || string(o.Evidence.Answer) != text {
					t.Errorf("%+v, evidence %q, cost %+v", summarize(o), o.Evidence.Answer, o.Cost)
				}
			})
		}
	}
}
