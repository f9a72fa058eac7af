package tlsprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// handshakeByHand makes one conversation the way a session does: connect, send
// the hello, feed what comes.
func handshakeByHand(t *testing.T, addr string, hello Hello) Result {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write(ClientHello(hello)); err != nil {
		t.Fatal(err)
	}
	r := NewReader(hello)
	buf := make([]byte, 1500)
	for {
		n, err := c.Read(buf)
		if r.Feed(buf[:n]) || err != nil {
			return r.Result(err)
		}
	}
}

// shakeOnce is shake for a server that takes one connection after the other.
func shakeOnce(t *testing.T, addr string, cfg Config) (probes.TLSFacts, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, facts, err := Handshake(ctx, c, cfg)
	return facts, err
}

// climb makes offer after offer as [Next] says, and gives what they showed
// together and which were made.
func climb(t *testing.T, addr string, names ...string) (facts probes.TLSFacts, made []int) {
	t.Helper()
	offers := Offers(names)
	var tries []Try
	for i := 0; ; {
		var try Try
		made = append(made, i)
		if hello := offers[i].Hello; hello != nil {
			try = handshakeByHand(t, addr, *hello).Try(i)
		} else {
			seen, err := shakeOnce(t, addr, offers[i].Config)
			failed, ok := errors.AsType[*HandshakeError](err)
			if !ok {
				return seen, made
			}
			try = failed.Try(i, seen)
		}
		if tries = append(tries, try); len(tries) == 1 {
			facts = try.Facts
		} else {
			facts = Join(facts, try.Facts)
		}
		next, ok := Next(offers, tries, false)
		if !ok {
			return facts, made
		}
		i = next
	}
}

// For one server, crypto/tls and the reading by hand say the same.
func TestByHandAgreesWithCryptoTLS(t *testing.T) {
	cert := newCertificate(t, rsaKey(t), nil)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		for _, auth := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert} {
			t.Run(VersionName(version)+"/"+auth.String(), func(t *testing.T) {
				addr := serveTLS(t, &tls.Config{
					Certificates: []tls.Certificate{cert}, ClientAuth: auth,
					MinVersion: tls.VersionTLS10, MaxVersion: version,
					NextProtos:   []string{"h2"},
					CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA},
				})
				offer := Config{Name: "box.example", ALPN: []string{"h2"}, MaxVersion: version}
				want, err := shakeOnce(t, addr, offer)
				if err != nil {
					t.Fatal(err)
				}
				if asked := want.ClientCert != ""; asked != (auth != tls.NoClientCert) {
					t.Errorf("client certificate %q", want.ClientCert)
				}
				hello := Hello{Version: version, Name: offer.Name, ALPN: offer.ALPN}
				got := handshakeByHand(t, addr, hello)
				if !got.Whole || !got.SpokeTLS {
					t.Errorf("%+v", got)
				}
				want.Alert, want.Offered = NotContinued, VersionName(version)
				if !hello.extended() {
					want.Name, want.ALPN = "", ""
				}
				if diff := cmp.Diff(want, got.Facts); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// A certificate at which crypto/tls gives up is read all the same.
func TestRefusedCertificateIsRead(t *testing.T) {
	cert := newCertificate(t, rsaKey(t), nil)
	raw := append([]byte(nil), cert.Certificate[0]...)
	for i := range raw {
		if string(raw[i:min(i+3, len(raw))]) == "\x02\x01\x07" {
			raw[i+2] = 0xf9 // the serial number becomes negative
			break
		}
	}
	cert.Certificate = [][]byte{raw}
	for _, tt := range []struct {
		name string
		max  uint16
		made []int
	}{
		{"TLS 1.2", tls.VersionTLS12, []int{0}},
		{"TLS 1.3", tls.VersionTLS13, []int{0, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tt.max})
			facts, made := climb(t, addr, "box.example")
			if diff := cmp.Diff(tt.made, made); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(Certificate(raw), facts.Certificate); diff != "" {
				t.Error(diff)
			}
			if facts.Certificate.Error == "" || facts.Certificate.Subject != "CN=box.example,O=Box" {
				t.Errorf("certificate %+v", facts.Certificate)
			}
			const want = "failed to parse certificate from server: x509: negative serial number"
			if facts.Alert != want {
				t.Errorf("alert %q", facts.Alert)
			}
		})
	}
}

// A server of SSL 3.0, played from its constructed answer: it answers a hello
// of any version with its own, as such servers did.
func TestSSL30IsFound(t *testing.T) {
	box := boxDER(t)
	answer := record(22, helloSSL30+certificates(box)+message(typeServerHelloDone, ""))
	addr := serve(t, func(c net.Conn) {
		head := make([]byte, headerSize)
		io.ReadFull(c, head)
		io.ReadFull(c, make([]byte, int(head[3])<<8|int(head[4])))
		io.WriteString(c, answer[:90])
		io.WriteString(c, answer[90:])
		io.Copy(io.Discard, c)
	})
	facts, made := climb(t, addr, "box.example")
	if diff := cmp.Diff([]int{0, 3}, made); diff != "" {
		t.Error(diff)
	}
	want := probes.TLSFacts{
		Name: "box.example", Version: "SSLv3", Cipher: "TLS_RSA_WITH_RC4_128_MD5",
		Alert:   "server selected unsupported protocol version 300",
		Offered: "TLS 1.3, TLS 1.2", Certificate: Certificate([]byte(box)),
	}
	if diff := cmp.Diff(want, facts); diff != "" {
		t.Error(diff)
	}
}
