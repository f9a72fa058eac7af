package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// What servers send that crypto/tls does not speak, for a certificate whose DER
// is given.

func tlsRecord(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind, 3, 0}, uint16(len(body)))) + body
}

func tlsMessage(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|uint32(len(body)))) + body
}

// tlsFlight is a ServerHello of that version and suite, the certificate, and
// ServerHelloDone.
func tlsFlight(version, suite uint16, der string) string {
	hello := binary.BigEndian.AppendUint16(nil, version)
	hello = append(hello, strings.Repeat("r", 32)+"\x00"...)
	hello = append(binary.BigEndian.AppendUint16(hello, suite), 0)
	entry := tlsMessage(0, der)[1:] // a length of 24 bits
	chain := tlsMessage(0, entry)[1:] + entry
	return tlsRecord(22, tlsMessage(2, string(hello))) +
		tlsRecord(22, tlsMessage(11, chain)) + tlsRecord(22, tlsMessage(14, ""))
}

const handshakeFailure = "\x15\x03\x00\x00\x02\x02\x28"

// isOurs reports whether a hello was made by hand.
func isOurs(hello string) bool { return strings.Contains(hello, "Sonde identification request") }

// answers is a server that sends modern to a hello of crypto/tls, and old to
// one that was made by hand.
func answers(modern, old string) func(*server, net.Conn) {
	return func(s *server, c net.Conn) {
		hello := s.request(c)
		switch {
		case isOurs(hello):
			io.WriteString(c, old)
		case hello != "":
			io.WriteString(c, modern)
		}
		drain(c)
	}
}

func certificateOf(cfg *tls.Config) string { return string(cfg.Certificates[0].Certificate[0]) }

// Servers with which crypto/tls comes to nothing are TLS all the same, and show
// their certificate.
func TestServersOfOldTLS(t *testing.T) {
	box := certificateOf(newTLSConfig(t))
	sslv3 := tlsFlight(0x0300, 0x0004, box)
	export := tlsFlight(0x0301, 0x0003, box)
	unreadable := tlsFlight(0x0303, 0x002f, "not DER")
	huge := tlsRecord(22, tlsMessage(2, "\x03\x03"+strings.Repeat("r", 32)+"\x00\x00\x2f\x00")) +
		"\x16\x03\x03\x40\x00\x0b\x10\x00\x00\x0f\xff\xfd\x0f\xff\xfa" +
		strings.Repeat("x", 1<<14-10) + strings.Repeat("\x16\x03\x03\x40\x00"+strings.Repeat("x", 1<<14), 64)
	tests := []struct {
		name         string
		talk         func(*server, net.Conn)
		connections  int
		want         probes.TLSFacts // Certificate apart
		der          string
		inconclusive bool
	}{
		{"SSL 3.0 alone", answers(sslv3, sslv3), 2, probes.TLSFacts{
			Version: "SSLv3", Cipher: "TLS_RSA_WITH_RC4_128_MD5", Offered: "TLS 1.3, TLS 1.2",
			Alert: "server selected unsupported protocol version 300",
		}, box, false},
		{"export suite alone", answers(handshakeFailure, export), 2, probes.TLSFacts{
			Version: "TLS 1.0", Cipher: "TLS_RSA_EXPORT_WITH_RC4_40_MD5", Offered: "TLS 1.3, TLS 1.2",
			Alert: "handshake failure",
		}, box, false},
		{"certificate that is none", answers(handshakeFailure, unreadable), 2, probes.TLSFacts{
			Version: "TLS 1.2", Cipher: "TLS_RSA_WITH_AES_128_CBC_SHA", Offered: "TLS 1.3, TLS 1.2",
			Alert: "handshake failure",
		}, "not DER", false},
		{"alerts", answers(handshakeFailure, handshakeFailure), 4, probes.TLSFacts{
			Alert: "handshake failure", Offered: "TLS 1.3, TLS 1.2, TLS 1.0, SSLv3",
		}, "", false},
		{"garbage for the hello by hand", answers(handshakeFailure, "220 box ESMTP Boxmail 2\r\n"), 2, probes.TLSFacts{
			Alert: "handshake failure", Offered: "TLS 1.3, TLS 1.2",
		}, "", false},
		{"certificate of 1 MiB", answers(huge, huge), 2, probes.TLSFacts{
			Version: "TLS 1.2", Cipher: "TLS_RSA_WITH_AES_128_CBC_SHA", Offered: "TLS 1.3, TLS 1.2",
			Alert: "handshake message of length 1048576 bytes exceeds maximum of 262144 bytes",
		}, "", false},
		{"silence after an alert", answers(handshakeFailure, ""), 2, probes.TLSFacts{
			Alert: "handshake failure", Offered: "TLS 1.3, TLS 1.2",
		}, "", false},
		{"no end after an alert", answers(handshakeFailure, sslv3[:20]), 2, probes.TLSFacts{
			Alert: "handshake failure", Offered: "TLS 1.3, TLS 1.2",
		}, "", true},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			s := serve(t, tt.talk)
			db := load(t, testDatabase, s.addr.Port(), true)
			o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
			want := summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched,
				Tunnel: probes.TLS, State: probes.Open,
			}
			if tt.inconclusive {
				want.Outcome = probes.OutcomeInconclusive
			}
			if diff := cmp.Diff(want, summarize(o)); diff != "" {
				t.Error(diff, o.Reason, o.Errors)
			}
			if o.Cost.Connections != tt.connections || s.count() != tt.connections {
				t.Errorf("%d connections, want %d", o.Cost.Connections, tt.connections)
			}
			if tt.der != "" {
				tt.want.Certificate = tlsprobe.Certificate([]byte(tt.der))
			}
			if diff := cmp.Diff([]probes.TLSFacts{tt.want}, o.TLS); diff != "" {
				t.Error(diff)
			}
			if tt.inconclusive {
				return
			}
			again := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Recall(&o))
			tt.want.Remembered = true
			if diff := cmp.Diff([]probes.TLSFacts{tt.want}, again.TLS); diff != "" || again.Tunnel != probes.TLS {
				t.Error("a revisit:", diff)
			}
			if again.Cost.Connections != 1 || again.Offer != o.Offer {
				t.Errorf("a revisit: %d connections, offer %d, before %d", again.Cost.Connections, again.Offer, o.Offer)
			}
			if o.Cost.BytesOut < 300 || o.Cost.BytesIn == 0 || o.Cost.BytesIn > quick().MaxBytes {
				t.Errorf("cost %+v", o.Cost)
			}
			if limit := quick().TLSTimeout + time.Second; o.Cost.Millis > limit.Milliseconds() {
				t.Errorf("took %d ms, more than %v", o.Cost.Millis, limit)
			}
		})
	}
}

// A certificate that crypto/tls refuses is read by a hello of our own, also
// behind TLS 1.3, which hides it.
func TestCertificateThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := newTLSConfig(t)
		raw := []byte(certificateOf(cfg))
		at := bytes.Index(raw, []byte("\x02\x01\x01\x30")) // the serial number
		raw[at+2] = 0xff                                   // becomes negative
		cfg.Certificates[0].Certificate[0] = raw
		s := serve(t, inside(cfg, reply(page)))
		db := load(t, testDatabase, s.addr.Port(), true)
		o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
		if len(o.TLS) != 1 || o.TLS[0].Certificate == nil || s.count() != 2 {
			t.Fatalf("facts %+v, %d connections, errors %q", o.TLS, s.count(), o.Errors)
		}
		c := o.TLS[0].Certificate
		if c.Error == "" || c.Subject != "CN=box.example" || c.SHA256 == "" || o.Tunnel != probes.TLS {
			t.Errorf("certificate %+v, %+v", c, summarize(o))
		}
	})
}

// picky is a server that knows one name, "" for a hello without any.
func picky(t *testing.T, name *string) func(*server, net.Conn) {
	cfg := newTLSConfig(t)
	cert := cfg.Certificates[0]
	cfg.Certificates = nil
	cfg.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName != *name {
			return nil, nil // crypto/tls sends unrecognized_name
		}
		return &cert, nil
	}
	return inside(cfg, reply(page))
}

// A server that does not know our name is asked without one, and a revisit does
// so at once.
func TestUnknownName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := ""
		s := serve(t, picky(t, &name))
		db := load(t, testDatabase, s.addr.Port(), true)
		p := newProber(t, s, db, quick())
		ep := endpoint(s)
		ep.Names = []string{"box.example"}
		want := summary{
			probes.OutcomeAnswered, probes.Hard, "http", "Boxweb", "1.2", "GetRequest", probes.TLS, probes.Open,
		}
		visit := func(known Remembered, connections, offer int) probes.Observation {
			t.Helper()
			o := p.Visit(t.Context(), ep, known)
			if diff := cmp.Diff(want, summarize(o)); diff != "" {
				t.Error(diff, o.Errors)
			}
			if o.Cost.Connections != connections || o.Offer != offer {
				t.Errorf("%d connections, want %d; offer %d", o.Cost.Connections, connections, o.Offer)
			}
			if len(o.TLS) != 1 || o.TLS[0].Name != name || o.TLS[0].Alert != "" || o.TLS[0].Certificate == nil {
				t.Errorf("facts %+v", o.TLS)
			}
			return o
		}
		first := visit(Remembered{}, 2, 1)
		again := visit(Recall(&first), 1, 1)
		name = "box.example" // the server has learned it, and wants it now
		changed := visit(Recall(&again), 2, 0)
		visit(Recall(&changed), 1, 0)
		strange := Recall(&changed)
		for _, strange.Offer = range []int{-1, 3, 99} { // no such offer is let in
			visit(strange, 1, 0)
		}
	})
}

// A peer that only hangs up gets as many offers as are allowed once it is known
// to speak TLS, and none of them twice: known from an earlier visit, or by a
// match that comes after the first offers.
func TestOffersAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		isTLSPort bool
		known     Remembered
	}{
		"known before": {false, Remembered{Probe: "GetRequest", Tunnel: probes.TLS}},
		"known later":  {true, Remembered{}},
		"both":         {true, Remembered{Probe: "GetRequest", Tunnel: probes.TLS}},
	} {
		bubble(t, name, func(t *testing.T) {
			s := serve(t, func(s *server, c net.Conn) {
				if strings.HasPrefix(s.request(c), "GET") {
					io.WriteString(c, "HTTP/1.1 400 Bad\r\n\r\nThe plain HTTP request was sent to HTTPS port")
				}
			})
			db := load(t, testDatabase, s.addr.Port(), tt.isTLSPort)
			o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), tt.known)
			if o.Product != "Boxweb" || o.Tunnel != probes.TLS {
				t.Errorf("%+v, errors %q", summarize(o), o.Errors)
			}
			hellos := 0
			for _, r := range s.requests() {
				if isOurs(r) || r[0] == '\x16' && len(r) > 100 {
					hellos++
				}
			}
			if hellos != tlsprobe.MaxOffers {
				t.Errorf("%d offers of TLS, want %d", hellos, tlsprobe.MaxOffers)
			}
		})
	}
}

// The byte budget of a visit bounds what is read by hand, and no offer is made
// without any left.
func TestOffersWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pour := tlsRecord(22, "\x02\x00\x10\x00"+strings.Repeat("x", 5000))
		for _, max := range []int{1 << 10, 4 << 10} {
			s := serve(t, answers(handshakeFailure, strings.Repeat(pour, 20)))
			db := load(t, testDatabase, s.addr.Port(), true)
			settings := quick()
			settings.MaxBytes, settings.MaxAnswer = max, 1<<10
			o := newProber(t, s, db, settings).Visit(t.Context(), endpoint(s), Remembered{})
			if o.Cost.BytesOut+o.Cost.BytesIn > max || len(o.TLS) != 1 || o.Tunnel != probes.TLS {
				t.Errorf("%d bytes: %+v, cost %+v, facts %+v", max, summarize(o), o.Cost, o.TLS)
			}
		}
	})
}

// A visit that is cancelled while a hello by hand is answered ends at once.
func TestCancelledHelloByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, func(s *server, c net.Conn) {
			if isOurs(s.request(c)) {
				cancel()
			} else {
				io.WriteString(c, handshakeFailure)
			}
			drain(c)
		})
		db := load(t, testDatabase, s.addr.Port(), true)
		start := time.Now()
		o := newProber(t, s, db, quick()).Visit(ctx, endpoint(s), Remembered{})
		if took := time.Since(start); o.Outcome != probes.OutcomeInconclusive || took > 500*time.Millisecond {
			t.Errorf("%+v after %v", summarize(o), took)
		}
	})
}

// However an old server's answer is cut, it says the same.
func TestHelloByHandInSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flight := tlsFlight(0x0300, 0x0004, certificateOf(newTLSConfig(t)))
		var first []probes.TLSFacts
		for _, size := range []int{len(flight), 1, 7, 100} {
			s := serve(t, func(s *server, c net.Conn) {
				if !isOurs(s.request(c)) {
					io.WriteString(c, handshakeFailure)
				} else {
					for part := range slices.Chunk([]byte(flight), size) {
						c.Write(part)
						time.Sleep(time.Millisecond)
					}
				}
				drain(c)
			})
			db := load(t, testDatabase, s.addr.Port(), true)
			o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
			if first == nil {
				first = o.TLS
			}
			if diff := cmp.Diff(first, o.TLS); diff != "" || o.TLS[0].Certificate == nil {
				t.Errorf("in pieces of %d: %s %+v", size, diff, o.TLS)
			}
		}
	})
}
