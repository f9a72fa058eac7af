//go:build lab && linux

package simulation

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	ctls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"
)

// slowly waits for up to 300 ms, as servers at some distance do.
func slowly() { time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) }

// oneOf answers each client as one of several servers behind one address.
func oneOf(list ...handler) handler {
	return func(c net.Conn) { list[rand.IntN(len(list))](c) }
}

// greets sends a line to who connects.
func greets(line string) handler {
	return func(c net.Conn) {
		slowly()
		if _, err := c.Write([]byte(line)); err == nil {
			_, _ = c.Read(make([]byte, 512))
		}
	}
}

func sshd(version string) handler { return greets("SSH-2.0-OpenSSH_" + version + "\r\n") }

// turnsAway closes at once.
func turnsAway(net.Conn) {}

// httpd answers requests; server is its header of that name, "" for none.
func httpd(status, server string) handler {
	return func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		slowly()
		header := ""
		if server != "" {
			header = "Server: " + server + "\r\n"
		}
		body := "<html><title>" + status + "</title></html>"
		if r.Method == http.MethodHead {
			body = ""
		}
		fmt.Fprintf(c, "HTTP/1.1 %s\r\n%sContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			status, header, len(body), body)
	}
}

// inTLS speaks inside TLS, with a certificate.
func inTLS(cert ctls.Certificate, inner handler) handler {
	cfg := &ctls.Config{Certificates: []ctls.Certificate{cert}}
	return func(c net.Conn) {
		s := ctls.Server(c, cfg)
		if s.Handshake() == nil {
			inner(s)
			_ = s.Close()
		}
	}
}

// mysqld greets as a MySQL server does, and expects nothing more.
func mysqld(version string) handler {
	p := append([]byte{10}, version...)
	p = append(p, 0, 42, 0, 0, 0)
	p = append(p, "\x41\x42\x43\x44\x45\x46\x47\x48\x00\xff\xf7\x21\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	p = append(p, "abcdefghijkl\x00mysql_native_password\x00"...)
	return greets(packet(p))
}

// hostBlocked is what such a server says to whom it had too many errors from.
var hostBlocked = greets(packet([]byte("\xff\x69\x04Host '" + sensor4 +
	"' is blocked because of many connection errors; unblock with 'mysqladmin flush-hosts'")))

func packet(p []byte) string {
	return string([]byte{byte(len(p)), byte(len(p) >> 8), 0, 0}) + string(p)
}

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key: key, cert: &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}}
}

// sign makes a certificate for a name.
func (a *authority) sign(t testing.TB, name string) ctls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(rand.Int64N(1 << 60)), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, leaf, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return ctls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
