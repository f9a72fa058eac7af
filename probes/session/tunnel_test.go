package session

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

func newTLSConfig(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "box.example"},
		NotBefore:    time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS10,
	}
}

// inside talks within TLS; outside tells plain HTTP that it is at the wrong
// door, as web servers do.
func inside(cfg *tls.Config, talk func(*server, net.Conn)) func(*server, net.Conn) {
	return func(s *server, c net.Conn) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(c, first); err != nil {
			return
		}
		if first[0] != 0x16 {
			if first[0] == 'G' {
				io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port")
			}
			return
		}
		tunnel := tls.Server(pushedBack{c, first}.reader(), cfg)
		defer tunnel.Close()
		if tunnel.Handshake() == nil {
			talk(s, tunnel)
		}
	}
}

// pushedBack is a connection of which some bytes were read already.
type pushedBack struct {
	net.Conn
	head []byte
}

type headConn struct {
	net.Conn
	r io.Reader
}

func (p pushedBack) reader() net.Conn {
	return headConn{p.Conn, io.MultiReader(strings.NewReader(string(p.head)), p.Conn)}
}

func (h headConn) Read(b []byte) (int, error) { return h.r.Read(b) }

func TestTunnels(t *testing.T) {
	cfg := newTLSConfig(t)
	old := cfg.Clone()
	old.MaxVersion = tls.VersionTLS10
	boxweb := summary{
		probes.OutcomeAnswered, probes.Hard, "http", "Boxweb", "1.2", "GetRequest", probes.TLS, probes.Open,
	}
	tests := []struct {
		name        string
		talk        func(*server, net.Conn)
		isTLSPort   bool
		known       Remembered
		want        summary
		connections int
		version     string
	}{
		{
			name: "HTTPS at its port", talk: inside(cfg, reply(page)), isTLSPort: true,
			want: boxweb, connections: 1, version: "TLS 1.3",
		},
		{
			name: "TLS 1.0 only", talk: inside(old, reply(page)), isTLSPort: true,
			want: boxweb, connections: 1, version: "TLS 1.0",
		},
		{
			name: "HTTPS remembered", talk: inside(cfg, reply(page)), isTLSPort: true,
			known: Remembered{Probe: "GetRequest", Tunnel: probes.TLS},
			want:  boxweb, connections: 1, version: "TLS 1.3",
		},
		{
			name: "greeting inside", talk: inside(cfg, write("220 box ESMTP Boxmail 2\r\n")), isTLSPort: true,
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "smtp", "Boxmail", "2", "NULL", probes.TLS, probes.Open,
			},
			connections: 1, version: "TLS 1.3",
		},
		{
			name: "HTTPS at any port, told by the 400 page", talk: inside(cfg, reply(page)),
			want: boxweb, version: "TLS 1.3",
		},
		{
			name: "plain service at a TLS port", talk: reply(page), isTLSPort: true,
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "http", "Boxweb", "1.2", "GetRequest", "", probes.Open,
			},
		},
		{
			name: "tunnel remembered, plain by now", talk: reply(page),
			known: Remembered{Probe: "GetRequest", Tunnel: probes.TLS},
			want: summary{
				probes.OutcomeAnswered, probes.Hard, "http", "Boxweb", "1.2", "GetRequest", "", probes.Open,
			},
		},
		{
			name: "unknown inside", talk: inside(cfg, reply("WHAT?\r\n")), isTLSPort: true,
			want: summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched,
				Tunnel: probes.TLS, State: probes.Open,
			},
			version: "TLS 1.3",
		},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			s := serve(t, tt.talk)
			db := load(t, testDatabase, s.addr.Port(), tt.isTLSPort)
			o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), tt.known)
			if diff := cmp.Diff(tt.want, summarize(o)); diff != "" {
				t.Error(diff, o.Errors)
			}
			if n := s.count(); tt.connections != 0 && n != tt.connections {
				t.Errorf("%d connections, want %d", n, tt.connections)
			}
			if (tt.version == "") != (len(o.TLS) == 0) {
				t.Fatalf("TLS facts %+v", o.TLS)
			}
			if tt.version != "" && (o.TLS[0].Version != tt.version ||
				o.TLS[0].Certificate.Subject != "CN=box.example") {
				t.Errorf("TLS facts %+v", o.TLS[0])
			}
		})
	}
}

// TLS found by the ladder's own hello: answered with an alert, the server is
// known to speak TLS, and the true handshake follows.
func TestTLSByTheLadder(t *testing.T) { synctest.Test(t, tlsByTheLadder) }

func tlsByTheLadder(t *testing.T) {
	cfg := newTLSConfig(t)
	s := serve(t, func(s *server, c net.Conn) {
		tunnel := tls.Server(c, cfg)
		defer tunnel.Close()
		if tunnel.Handshake() == nil {
			write("220 box ESMTP Boxmail 2\r\n")(s, tunnel)
		}
	})
	o := visitServer(t, s, quick(), Remembered{})
	if o.Product != "Boxmail" || o.Tunnel != probes.TLS || len(o.TLS) != 1 {
		t.Errorf("%+v, %q", summarize(o), o.Errors)
	}
}

func TestClientCertificateDemanded(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		bubble(t, tls.VersionName(version), func(t *testing.T) {
			cfg := newTLSConfig(t)
			cfg.ClientAuth, cfg.MinVersion, cfg.MaxVersion = tls.RequireAnyClientCert, version, version
			s := serve(t, inside(cfg, reply(page)))
			db := load(t, testDatabase, s.addr.Port(), true)
			p := newProber(t, s, db, quick())
			o := p.Visit(t.Context(), endpoint(s), Remembered{})
			want := summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched,
				Tunnel: probes.TLS, State: probes.Open,
			}
			if diff := cmp.Diff(want, summarize(o)); diff != "" {
				t.Error(diff)
			}
			if len(o.TLS) != 1 || o.TLS[0].Alert == "" || o.TLS[0].Certificate == nil {
				t.Fatalf("TLS facts %+v", o.TLS)
			}
			if s.count() != 1 {
				t.Errorf("%d connections", s.count())
			}
			again := p.Visit(t.Context(), endpoint(s), Recall(&o))
			if diff := cmp.Diff(want, summarize(again)); diff != "" || again.Cost.Connections != 1 {
				t.Error(diff, again.Cost.Connections)
			}
		})
	}
}

func TestFailedHandshakeKeepsTheTunnel(t *testing.T) { synctest.Test(t, failedHandshakeKeepsTheTunnel) }

func failedHandshakeKeepsTheTunnel(t *testing.T) {
	s := serve(t, func(s *server, c net.Conn) {
		s.request(c)
		io.WriteString(c, "\x15\x03\x03\x00\x02\x02\x28")
	})
	db := load(t, testDatabase, s.addr.Port(), true)
	o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
	if o.Outcome != probes.OutcomeAnswered || o.Tunnel != probes.TLS {
		t.Errorf("%+v", summarize(o))
	}
	if len(o.TLS) != 1 || o.TLS[0].Alert != "handshake failure" {
		t.Errorf("TLS facts %+v", o.TLS)
	}
	if s.count() != 4 { // of seven, four may mend a "handshake failure" without a name
		t.Errorf("%d connections; want one for each way that may help", s.count())
	}
}

func TestTLSGarbage(t *testing.T) {
	for name, garbage := range map[string]string{
		"record of zeroes":     "\x16\x03\x03\x00\x20" + strings.Repeat("\x00", 32),
		"record too long":      "\x16\x03\x03\xff\xff" + strings.Repeat("x", 100),
		"half a record":        "\x16\x03\x03\x40\x00abc",
		"application data":     "\x17\x03\x03\x00\x05hello",
		"hello of nonsense":    "\x16\x03\x03\x00\x08\x02\x00\x00\x04\x03\x03\x00\x00",
		"alert and then bytes": "\x15\x03\x03\x00\x02\x01\x00rubbish",
	} {
		bubble(t, name, func(t *testing.T) {
			s := serve(t, func(s *server, c net.Conn) {
				if s.request(c) != "" {
					io.WriteString(c, garbage)
				}
			})
			db := load(t, testDatabase, s.addr.Port(), true)
			settings := quick()
			settings.MaxWait = 3 * time.Second
			o := newProber(t, s, db, settings).Visit(t.Context(), endpoint(s), Remembered{})
			if o.Outcome != probes.OutcomeAnswered {
				t.Errorf("%+v, %q", summarize(o), o.Errors)
			}
		})
	}
}

func TestNameIsSentAsSNI(t *testing.T) { synctest.Test(t, nameIsSentAsSNI) }

func nameIsSentAsSNI(t *testing.T) {
	s := serve(t, inside(newTLSConfig(t), reply(page)))
	db := load(t, testDatabase, s.addr.Port(), true)
	ep := endpoint(s)
	ep.Names = []string{"192.0.2.1", "*.example", "box.example"}
	o := newProber(t, s, db, quick()).Visit(t.Context(), ep, Remembered{})
	if len(o.TLS) != 1 || o.TLS[0].Name != "box.example" {
		t.Errorf("TLS facts %+v", o.TLS)
	}
}

// A match that names TLS stays when the door then proves shut.
func TestMatchBehindTLSStaysWithoutAHandshake(t *testing.T) {
	synctest.Test(t, matchBehindTLSStaysWithoutAHandshake)
}

func matchBehindTLSStaysWithoutAHandshake(t *testing.T) {
	s := serve(t, func(s *server, c net.Conn) {
		if strings.HasPrefix(s.request(c), "GET") {
			io.WriteString(c, "HTTP/1.1 400 Bad\r\n\r\nThe plain HTTP request was sent to HTTPS port")
		}
	})
	o := visitServer(t, s, quick(), Remembered{})
	want := summary{
		probes.OutcomeAnswered, probes.Hard, "http", "Boxweb", "", "GetRequest", probes.TLS, probes.Open,
	}
	if diff := cmp.Diff(want, summarize(o)); diff != "" {
		t.Error(diff)
	}
}

// shy is a TLS server that lets a client in as often as admitted, and hangs up
// on all that come after.
func shy(t *testing.T, admitted int, talk func(*server, net.Conn)) func(*server, net.Conn) {
	let := inside(newTLSConfig(t), talk)
	return func(s *server, c net.Conn) {
		if s.count() <= admitted {
			let(s, c)
		}
	}
}

// A handshake that fails after one that succeeded says nothing against TLS,
// and nothing about the service.
func TestLaterHandshakeFails(t *testing.T) {
	for name, tt := range map[string]struct {
		known Remembered
		talk  func(*server, net.Conn)
		want  summary
	}{
		"nothing heard": {
			talk: func(s *server, c net.Conn) { s.request(c) },
			want: summary{
				Outcome: probes.OutcomeInconclusive, Strength: probes.Unmatched,
				Tunnel: probes.TLS, State: probes.Open,
			},
		},
		"soft match": {
			talk: func(s *server, c net.Conn) { io.WriteString(c, "220 box FTP\r\n") },
			want: summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Soft, Service: "ftp", Probe: "NULL",
				Tunnel: probes.TLS, State: probes.Open,
			},
		},
		"remembered": {
			known: Remembered{Probe: "GetRequest", Tunnel: probes.TLS},
			talk:  func(s *server, c net.Conn) { s.request(c) },
			want: summary{
				Outcome: probes.OutcomeInconclusive, Strength: probes.Unmatched,
				Tunnel: probes.TLS, State: probes.Open,
			},
		},
	} {
		bubble(t, name, func(t *testing.T) {
			s := serve(t, shy(t, 1, tt.talk))
			text := strings.Replace(testDatabase, "rarity 9", "sslports TLSPORT\nrarity 9", 1)
			db := load(t, text, s.addr.Port(), true)
			o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), tt.known)
			if diff := cmp.Diff(tt.want, summarize(o)); diff != "" {
				t.Error(diff, o.Reason, o.Errors)
			}
		})
	}
}

// A probe that must not be early is not early inside a tunnel either.
func TestFirstWordInsideATunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Replace(testDatabase, "Probe TCP GetRequest", "# wait: null\nProbe TCP GetRequest", 1)
		s := serve(t, inside(newTLSConfig(t), func(s *server, c net.Conn) {
			early := make(chan bool, 1)
			go func() { early <- s.request(c) != "" }()
			select {
			case <-early:
			case <-time.After(500 * time.Millisecond):
				io.WriteString(c, "220 box ESMTP Boxmail 3\r\n")
				<-early
			}
		}))
		db := load(t, text, s.addr.Port(), true)
		o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
		talked := slices.ContainsFunc(s.requests(), func(r string) bool { return r != "QUIT\r\n" })
		if o.Product != "Boxmail" || o.Cost.Connections != 1 || talked {
			t.Errorf("%+v, %d connections, requests %q", summarize(o), o.Cost.Connections, s.requests())
		}
	})
}

// An alert in answer to one probe does not speak for the others.
func TestAlertInAnswerToAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			cfg := newTLSConfig(t)
			cfg.MaxVersion = tls.VersionTLS12
			broken := &garbler{Conn: c}
			tunnel := tls.Server(broken, cfg)
			defer tunnel.Close()
			if tunnel.Handshake() != nil {
				return
			}
			broken.broken = s.count() <= 1 // not for the second probe
			if s.request(tunnel) == "HELLO\r\n" {
				io.WriteString(tunnel, "HI 8\r\n")
			}
		})
		db := load(t, testDatabase, s.addr.Port(), true)
		o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
		if o.Product != "Hello" || len(o.TLS) != 1 || o.TLS[0].Alert != "" {
			t.Errorf("%+v, TLS %+v, errors %q", summarize(o), o.TLS, o.Errors)
		}
	})
}

// A garbler breaks what is read, so that its reader sends the alert
// bad_record_mac.
type garbler struct {
	net.Conn
	broken bool
}

func (g *garbler) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if g.broken && n > headerSize {
		b[n-1] ^= 1
	}
	return n, err
}

const headerSize = 5 // of a TLS record

// A match that named TLS in clear is found again where the door stays shut.
func TestRevisitOfAShutTunnel(t *testing.T) {
	for name, answer := range map[string]string{"alert": "\x15\x03\x03\x00\x02\x02\x28", "close": ""} {
		bubble(t, name, func(t *testing.T) {
			s := serve(t, func(s *server, c net.Conn) {
				if strings.HasPrefix(s.request(c), "GET") {
					io.WriteString(c, "HTTP/1.1 400 Bad\r\n\r\nThe plain HTTP request was sent to HTTPS port")
					return
				}
				io.WriteString(c, answer)
			})
			first := visitServer(t, s, quick(), Remembered{})
			known := Recall(&first)
			again := visitServer(t, s, quick(), known)
			if diff := cmp.Diff(summarize(first), summarize(again)); diff != "" || first.Product != "Boxweb" {
				t.Error(diff, again.Errors)
			}
			if shut := known.Shut != nil; shut != (name == "alert") || shut && again.Cost.Connections != 1 {
				t.Errorf("shut before: %+v, then %+v", known.Shut, again.Cost)
			}
		})
	}
}

// A handshake that the peer draws out is no answer: it is not known how it
// would have ended.
func TestHandshakeInDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			s.request(c)
			for _, b := range []byte("\x16\x03\x03\x40\x00\x02" + strings.Repeat("x", 1000)) {
				c.Write([]byte{b})
				time.Sleep(100 * time.Millisecond)
			}
		})
		db := load(t, testDatabase, s.addr.Port(), true)
		o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
		if o.Outcome != probes.OutcomeInconclusive || o.Tunnel != probes.TLS {
			t.Errorf("%+v, reason %q", summarize(o), o.Reason)
		}
	})
}

// What handshakes move counts too.
func TestHandshakesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, inside(newTLSConfig(t), write("220 box ESMTP Boxmail 2\r\n")))
		db := load(t, testDatabase, s.addr.Port(), true)
		o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
		if o.Product != "Boxmail" || o.Cost.BytesOut < 200 || o.Cost.BytesIn < 500 {
			t.Errorf("%+v, cost %+v", summarize(o), o.Cost)
		}
	})
}

// A peer that pours into the handshake is cut off by the byte budget.
func TestHandshakeWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			s.request(c)
			record := "\x16\x03\x03\x40\x00\x0b\x00\xf0\x00" + strings.Repeat("x", 1<<14-4)
			for range 100 {
				io.WriteString(c, record)
			}
			drain(c)
		})
		db := load(t, testDatabase, s.addr.Port(), true)
		settings := quick()
		settings.MaxBytes = 32 << 10
		o := newProber(t, s, db, settings).Visit(t.Context(), endpoint(s), Remembered{})
		if o.Cost.BytesIn > settings.MaxBytes || o.Cost.BytesIn == 0 {
			t.Errorf("%+v, cost %+v", summarize(o), o.Cost)
		}
	})
}
