package tlsprobe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sonde/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve accepts one connection after the other and hands it to talk, until
// the test ends.
func serve(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talk(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// serveTLS shakes hands and then waits for the client to close.
func serveTLS(t *testing.T, cfg *tls.Config) string {
	return serve(t, func(c net.Conn) {
		s := tls.Server(c, cfg)
		if s.Handshake() == nil {
			io.Copy(io.Discard, s)
		}
	})
}

func shake(t *testing.T, addr string, cfg Config) (Tunnel, probes.TLSFacts, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return Handshake(ctx, c, cfg)
}

func TestEveryVersion(t *testing.T) {
	cert := newCertificate(t, rsaKey(t), nil)
	for _, version := range []uint16{
		tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13,
	} {
		name := tls.VersionName(version)
		t.Run(name, func(t *testing.T) {
			addr := serveTLS(t, &tls.Config{
				Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version,
			})
			_, facts, err := shake(t, addr, Config{Name: "box.example"})
			if err != nil {
				t.Fatal(err)
			}
			if facts.Version != name || facts.Cipher == "" || facts.Name != "box.example" {
				t.Errorf("facts %+v", facts)
			}
			if facts.Certificate == nil || facts.Certificate.Key != "RSA 2048" {
				t.Errorf("certificate %+v", facts.Certificate)
			}
		})
	}
}

func TestEverySuiteUpToTLS12(t *testing.T) {
	certs := []tls.Certificate{
		newCertificate(t, rsaKey(t), nil), newCertificate(t, ecdsaKey(t), nil),
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.SupportedVersions[0] == tls.VersionTLS13 {
			continue
		}
		t.Run(suite.Name, func(t *testing.T) {
			addr := serveTLS(t, &tls.Config{
				Certificates: certs, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12,
				CipherSuites: []uint16{suite.ID},
			})
			_, facts, err := shake(t, addr, Config{})
			if err != nil || facts.Cipher != suite.Name {
				t.Errorf("cipher %q, error %v", facts.Cipher, err)
			}
		})
	}
}

func TestMaxVersionIsOffered(t *testing.T) {
	addr := serveTLS(t, &tls.Config{
		Certificates: []tls.Certificate{newCertificate(t, ecdsaKey(t), nil)},
	})
	_, facts, err := shake(t, addr, Config{MaxVersion: tls.VersionTLS12})
	if err != nil || facts.Version != "TLS 1.2" {
		t.Errorf("version %q, error %v", facts.Version, err)
	}
}

func TestALPN(t *testing.T) {
	addr := serveTLS(t, &tls.Config{
		Certificates: []tls.Certificate{newCertificate(t, ecdsaKey(t), nil)},
		NextProtos:   []string{"h2", "http/1.1"},
	})
	for _, tt := range []struct {
		offer []string
		want  string
	}{{nil, ""}, {[]string{"http/1.1"}, "http/1.1"}} {
		t.Run(fmt.Sprintf("%q", tt.offer), func(t *testing.T) {
			_, facts, err := shake(t, addr, Config{ALPN: tt.offer})
			if err != nil || facts.ALPN != tt.want {
				t.Errorf("got %q, error %v", facts.ALPN, err)
			}
		})
	}
}

func TestSNI(t *testing.T) {
	var got string
	addr := serveTLS(t, &tls.Config{
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			got = h.ServerName
			return nil, errors.New("no certificate")
		},
	})
	for name, want := range map[string]string{
		"a.example": "a.example", "a.example.": "a.example", "": "", "192.0.2.1": "", "::1": "",
	} {
		_, facts, err := shake(t, addr, Config{Name: name})
		if err == nil || got != want || facts.Name != want {
			t.Errorf("%q: sent %q, facts %q, want %q", name, got, facts.Name, want)
		}
	}
}

func TestClientCertificateDemanded(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			addr := serveTLS(t, &tls.Config{
				Certificates: []tls.Certificate{newCertificate(t, rsaKey(t), nil)},
				ClientAuth:   tls.RequireAnyClientCert,
				MinVersion:   version, MaxVersion: version,
			})
			tunnel, facts, err := shake(t, addr, Config{})
			if version == tls.VersionTLS13 {
				if err != nil {
					t.Fatalf("handshake: %v", err)
				}
				_, err = tunnel.Read(make([]byte, 1))
				facts.Alert = Alert(err)
			}
			if err == nil || facts.Alert == "" {
				t.Errorf("error %v, alert %q; want both", err, facts.Alert)
			}
			if facts.Certificate == nil || facts.Certificate.Subject == "" {
				t.Errorf("certificate %+v", facts.Certificate)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name     string
		send     string
		linger   bool // keep the connection open
		spokeTLS bool
		silent   bool
		alert    string
	}{
		{name: "closed at once", silent: true, alert: "closed"},
		{name: "HTTP", send: "HTTP/1.1 400 Bad Request\r\n\r\n", alert: "not TLS"},
		{name: "SSH", send: "SSH-2.0-OpenSSH_9.2\r\n", alert: "not TLS"},
		{name: "high bytes", send: strings.Repeat("\xff", 64), alert: "not TLS"},
		{name: "zeroes", send: strings.Repeat("\x00", 64), alert: "not TLS"},
		{
			name: "alert handshake failure", send: "\x15\x03\x03\x00\x02\x02\x28",
			spokeTLS: true, alert: "handshake failure",
		},
		{
			name: "alert protocol version of SSL 3.0", send: "\x15\x03\x00\x00\x02\x02\x46",
			spokeTLS: true, alert: "protocol version not supported",
		},
		{
			name: "alert unrecognized name", send: "\x15\x03\x01\x00\x02\x02\x70",
			spokeTLS: true, alert: "unrecognized name",
		},
		{name: "unknown alert", send: "\x15\x03\x03\x00\x02\x02\xf0", spokeTLS: true, alert: "alert(240)"},
		{name: "record header alone", send: "\x16\x03\x03\x00\x40", spokeTLS: true, alert: "closed"},
		{name: "silence", linger: true, silent: true, alert: "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := serve(t, func(c net.Conn) {
				hello := make([]byte, 5)
				io.ReadFull(c, hello)
				io.ReadFull(c, make([]byte, int(hello[3])<<8|int(hello[4])))
				io.WriteString(c, tt.send)
				if tt.linger {
					io.Copy(io.Discard, c)
				}
			})
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, facts, err := Handshake(ctx, c, Config{})
			failed, ok := errors.AsType[*HandshakeError](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if failed.SpokeTLS != tt.spokeTLS || failed.Silent != tt.silent || facts.Alert != tt.alert {
				t.Errorf("spoke TLS %v, silent %v, alert %q; want %v, %v, %q",
					failed.SpokeTLS, failed.Silent, facts.Alert, tt.spokeTLS, tt.silent, tt.alert)
			}
		})
	}
}

// A relay that stops after n bytes of the server, for every n: each gives an
// error, never a crash, and says TLS as soon as a record header is whole.
func TestTruncationAtEveryByte(t *testing.T) {
	cert := newCertificate(t, ecdsaKey(t), nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			cfg := &tls.Config{
				Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version,
				SessionTicketsDisabled: true,
			}
			for n := 0; ; n++ {
				facts, err := truncated(t, cfg, n)
				if err == nil {
					if n < 500 {
						t.Fatalf("handshake done after %d bytes", n)
					}
					return
				}
				failed, ok := errors.AsType[*HandshakeError](err)
				if !ok {
					t.Fatalf("%d bytes: %v", n, err)
				}
				if failed.SpokeTLS != (n >= headerSize) || facts.Alert != "closed" {
					t.Fatalf("%d bytes: spoke TLS %v, alert %q", n, failed.SpokeTLS, facts.Alert)
				}
			}
		})
	}
}

func truncated(t *testing.T, cfg *tls.Config, n int) (probes.TLSFacts, error) {
	t.Helper()
	client, near := net.Pipe()
	far, server := net.Pipe()
	done := make(chan struct{}, 3)
	go func() {
		tls.Server(server, cfg).Handshake()
		done <- struct{}{}
	}()
	go func() {
		io.Copy(far, near)
		done <- struct{}{}
	}()
	go func() {
		io.CopyN(near, far, int64(n))
		near.Close()
		done <- struct{}{}
	}()
	_, facts, err := Handshake(t.Context(), client, Config{})
	for _, c := range []net.Conn{client, near, far, server} {
		c.Close()
	}
	for range 3 {
		<-done
	}
	return facts, err
}

func TestContextEndsHandshake(t *testing.T) {
	addr := serve(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, facts, err := Handshake(ctx, c, Config{})
	if !errors.Is(err, context.Canceled) || facts.Alert != "cancelled" {
		t.Errorf("error %v, alert %q", err, facts.Alert)
	}
}

func TestManySANs(t *testing.T) {
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("host-%03d.example", i))
	}
	cert := newCertificate(t, ecdsaKey(t), func(c *x509.Certificate) { c.DNSNames = names })
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	_, facts, err := shake(t, addr, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if facts.Certificate.SANsCount != 200 {
		t.Errorf("count %d", facts.Certificate.SANsCount)
	}
	if diff := cmp.Diff(names[:probes.MaxSANs], facts.Certificate.SANs); diff != "" {
		t.Error(diff)
	}
}
