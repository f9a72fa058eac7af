package tlsprobe

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// shakeAndLeave shakes hands and leaves.
func shakeAndLeave(t *testing.T, addr string, cfg Config) (probes.TLSFacts, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, facts, err := Handshake(t.Context(), c, cfg)
	return facts, err
}

// A ticket resumes a session up to TLS 1.2, and the facts are those of the
// handshake that gave it. Of TLS 1.3 there is none.
func TestTicket(t *testing.T) {
	for version, resumed := range map[uint16]bool{
		tls.VersionTLS10: true, tls.VersionTLS11: true, tls.VersionTLS12: true, tls.VersionTLS13: false,
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			addr := serveTLS(t, &tls.Config{
				Certificates: []tls.Certificate{newCertificate(t, ecdsaKey(t), nil)},
				MinVersion:   version, MaxVersion: version, ClientAuth: tls.RequestClientCert,
			})
			var ticket Ticket
			cfg := Config{Name: "box.example", Ticket: &ticket}
			first, err := shakeAndLeave(t, addr, cfg)
			if err != nil || first.Remembered || first.ClientCert != ClientCertRequested || (ticket.Size() > 0) != resumed {
				t.Fatalf("%+v, a ticket of %d bytes, %v", first, ticket.Size(), err)
			}
			for range 3 {
				again, err := shakeAndLeave(t, addr, cfg)
				want := first
				want.Remembered = resumed
				if diff := cmp.Diff(want, again); diff != "" || err != nil {
					t.Fatal(diff, err)
				}
			}
		})
	}
}

// Nothing is asked for without a Ticket.
func TestNoTicket(t *testing.T) {
	var asked atomic.Bool
	addr := serve(t, func(c net.Conn) {
		hello := make([]byte, 4096)
		n, _ := c.Read(hello)
		asked.Store(strings.Contains(string(hello[:n]), "\x00\x23\x00\x00"))
	})
	for _, ticket := range []*Ticket{nil, new(Ticket)} {
		if _, err := shakeAndLeave(t, addr, Config{Ticket: ticket}); err == nil || asked.Load() != (ticket != nil) {
			t.Errorf("with %v: asked for a ticket: %v", ticket, asked.Load())
		}
	}
}

// A server that does not take its ticket back shakes hands in full, and shows
// the certificate that it has by now.
func TestTicketThatIsRefused(t *testing.T) {
	old, renewed := newCertificate(t, ecdsaKey(t), nil), newCertificate(t, ecdsaKey(t), nil)
	for _, disabled := range []bool{false, true} {
		var now atomic.Pointer[tls.Config]
		addr := serve(t, func(c net.Conn) {
			if s := tls.Server(c, now.Load()); s.Handshake() == nil {
				io.Copy(io.Discard, s)
			}
		})
		now.Store(&tls.Config{Certificates: []tls.Certificate{old}, MaxVersion: tls.VersionTLS12})
		var ticket Ticket
		if facts, err := shakeAndLeave(t, addr, Config{Ticket: &ticket}); err != nil || ticket.Size() == 0 ||
			facts.Certificate.SHA256 != Certificate(old.Certificate[0]).SHA256 {
			t.Fatalf("%+v, %v", facts, err)
		}
		now.Store(&tls.Config{Certificates: []tls.Certificate{renewed}, MaxVersion: tls.VersionTLS12,
			SessionTicketsDisabled: disabled})
		facts, err := shakeAndLeave(t, addr, Config{Ticket: &ticket})
		if err != nil || facts.Remembered || facts.Certificate.SHA256 != Certificate(renewed.Certificate[0]).SHA256 {
			t.Errorf("%+v, %v", facts, err)
		}
		if (ticket.Size() == 0) != disabled {
			t.Errorf("a ticket of %d bytes, disabled: %v", ticket.Size(), disabled)
		}
	}
}

// An expired certificate is no reason against a ticket.
func TestTicketWithExpiredCertificate(t *testing.T) {
	cert := newCertificate(t, ecdsaKey(t), func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Unix(1e9, 0), time.Unix(1.1e9, 0)
	})
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
	var ticket Ticket
	for _, remembered := range []bool{false, true} {
		if facts, err := shakeAndLeave(t, addr, Config{Ticket: &ticket}); err != nil || facts.Remembered != remembered {
			t.Errorf("%+v, %v", facts, err)
		}
	}
}

// A withholder is a server that promises a ticket and does not give it.
type withholder struct{ net.Conn }

func (w withholder) Write(b []byte) (int, error) {
	const newSessionTicket = 4
	var out []byte
	for rest := b; len(rest) >= headerSize; {
		n := headerSize + int(binary.BigEndian.Uint16(rest[3:]))
		if rest[0] != recordHandshake || rest[headerSize] != newSessionTicket {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	if _, err := w.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// What may be due to a ticket is told from what is not.
func TestTicketTrouble(t *testing.T) {
	tlsConfig := &tls.Config{
		Certificates: []tls.Certificate{newCertificate(t, ecdsaKey(t), nil)},
		MaxVersion:   tls.VersionTLS12,
	}
	given := Ticket{}
	if _, err := shakeAndLeave(t, serveTLS(t, tlsConfig), Config{Ticket: &given}); err != nil || given.Size() == 0 {
		t.Fatal("no ticket:", err)
	}
	demanding := tlsConfig.Clone()
	demanding.ClientAuth = tls.RequireAnyClientCert
	for _, tt := range []struct {
		name   string
		talk   func(net.Conn)
		ticket *Ticket
		want   bool
	}{
		{"hangs up, none asked for", func(net.Conn) {}, nil, false},
		{"hangs up, asked for one", func(net.Conn) {}, new(Ticket), false},
		{"hangs up on a ticket", func(net.Conn) {}, &given, true},
		{"demands a certificate of us", func(c net.Conn) { tls.Server(c, demanding).Handshake() }, new(Ticket), false},
		{"gives none after all", func(c net.Conn) { tls.Server(withholder{c}, tlsConfig).Handshake() }, new(Ticket), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := shakeAndLeave(t, serve(t, tt.talk), Config{Ticket: tt.ticket})
			failed, ok := errors.AsType[*HandshakeError](err)
			if !ok || failed.Ticket != tt.want {
				t.Errorf("%v, due to the ticket: %v, want %v", err, ok && failed.Ticket, tt.want)
			}
		})
	}
}

// What is kept of a hostile server's ticket is bounded, and what is no ticket is
// of no use.
func TestTicketBounds(t *testing.T) {
	cert := newCertificate(t, ecdsaKey(t), func(c *x509.Certificate) {
		for range 300 {
			c.DNSNames = append(c.DNSNames, strings.Repeat("x", 60)+".example")
		}
	})
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
	var ticket Ticket
	if _, err := shakeAndLeave(t, addr, Config{Ticket: &ticket}); err != nil || ticket.Size() != 0 {
		t.Errorf("a ticket of %d bytes, %v", ticket.Size(), err)
	}
	ticket = Ticket{ticket: []byte("x"), state: []byte("no state")}
	if facts, err := shakeAndLeave(t, addr, Config{Ticket: &ticket}); err != nil || facts.Remembered {
		t.Errorf("%+v, %v", facts, err)
	}
}
