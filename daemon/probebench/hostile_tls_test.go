//go:build integration

package probebench

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"sonde/probes"
)

// A garbler hands on what a TLS server writes, record by record, and does
// something else to the record whose turn it is.
type garbler struct {
	net.Conn
	turn int
	do   func(c net.Conn, record []byte)
	rest []byte
}

// Write implements net.Conn.
func (g *garbler) Write(b []byte) (int, error) {
	g.rest = append(g.rest, b...)
	for len(g.rest) >= 5 {
		n := 5 + int(binary.BigEndian.Uint16(g.rest[3:]))
		if len(g.rest) < n {
			break
		}
		record := bytes.Clone(g.rest[:n])
		g.rest = g.rest[n:]
		g.turn--
		if g.turn == -1 {
			g.do(g.Conn, record)
		} else if _, err := g.Conn.Write(record); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// garblingPeers disturb a TLS handshake at each of its steps.
func garblingPeers(t *testing.T) []hostile {
	const steps = 6 // TLS 1.3: hello, cipher, extensions to Finished, tickets; 1.2: the same number
	good := certificate(t, nil)
	ways := map[string]func(c net.Conn, record []byte){
		"garbage": func(c net.Conn, record []byte) {
			for i := 5; i < len(record); i++ {
				record[i] ^= 0xa5
			}
			_, _ = c.Write(record)
		},
		"a length that lies": func(c net.Conn, record []byte) {
			binary.BigEndian.PutUint16(record[3:], 0xffff)
			_, _ = c.Write(record)
		},
		"half a record and silence": func(c net.Conn, record []byte) {
			_, _ = c.Write(record[:len(record)/2])
			_, _ = io.Copy(io.Discard, c)
		},
		"a reset": func(c net.Conn, _ []byte) {
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"another type": func(c net.Conn, record []byte) {
			record[0] = 99
			_, _ = c.Write(record)
		},
		"empty records": func(c net.Conn, record []byte) {
			for range 100_000 {
				if _, err := c.Write([]byte{record[0], 3, 3, 0, 0}); err != nil {
					return
				}
			}
		},
	}
	var out []hostile
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, do := range ways {
			for step := range steps {
				out = append(out, hostile{fmt.Sprintf("%s record %d: %s", tls.VersionName(v), step, name), 443, func(c *net.TCPConn) {
					serveTLS(&garbler{Conn: c, turn: step, do: do}, &tls.Config{MinVersion: v, MaxVersion: v,
						Certificates: []tls.Certificate{good}})
				}, nil, false})
			}
		}
	}
	plain := func(name string, text []byte) {
		out = append(out, hostile{"to a hello " + name, 443, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write(text)
			_, _ = io.Copy(io.Discard, c)
		}, nil, false})
	}
	plain("64 KiB of zeros", make([]byte, 64<<10))
	plain("64 KiB of handshake records", bytes.Repeat([]byte{22, 3, 3, 0, 4, 2, 0, 0, 0}, 64<<10/9))
	plain("64 KiB of alerts", bytes.Repeat([]byte{21, 3, 3, 0, 2, 1, 90}, 64<<10/7))
	plain("an SSLv2 hello", []byte{0x80, 0x0b, 4, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0})
	plain("its own beginning", []byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3})
	return out
}

// serveTLS makes a handshake and answers one request.
func serveTLS(c net.Conn, cfg *tls.Config) {
	s := tls.Server(c, cfg)
	if _, err := s.Read(make([]byte, 4096)); err != nil {
		return
	}
	_, _ = io.WriteString(s, "HTTP/1.0 200 OK\r\nServer: nginx\r\n\r\n")
	_ = s.CloseWrite()
	time.Sleep(50 * time.Millisecond) // the client reads before a reset can overtake
}

// certificate makes one; change may alter the template, or the finished DER.
func certificate(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(4242), Subject: pkix.Name{CommonName: "hostile.example"},
		NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC),
		DNSNames: []string{"hostile.example"}}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

// certificatePeers show certificates that nobody should have to read.
func certificatePeers(t *testing.T) []hostile {
	raw := func(old, fresh string) tls.Certificate {
		c := certificate(t, nil)
		if !bytes.Contains(c.Certificate[0], []byte(old)) || len(old) != len(fresh) {
			t.Fatalf("no %q in a certificate to replace by %q", old, fresh)
		}
		c.Certificate[0] = bytes.ReplaceAll(c.Certificate[0], []byte(old), []byte(fresh))
		return c
	}
	whole := func(ders ...[]byte) tls.Certificate {
		return tls.Certificate{Certificate: ders, PrivateKey: certificate(t, nil).PrivateKey}
	}
	extension := func(size int) tls.Certificate {
		return certificate(t, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: make([]byte, size)}}
		})
	}
	many := certificate(t, func(c *x509.Certificate) {
		for i := range 1000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.%s.example", i, strings.Repeat("x", 40)))
		}
	})
	good := certificate(t, nil)
	chain := good
	chain.Certificate = nil
	for range 100 {
		chain.Certificate = append(chain.Certificate, good.Certificate[0])
	}
	var out []hostile
	for _, p := range []struct {
		name  string
		cert  tls.Certificate
		shown bool // before TLS 1.3, which hides it from who cannot agree on keys
	}{
		{"1 MiB", extension(1 << 20), false},
		{"60 KiB", extension(60 << 10), true},
		{"15 MiB", extension(15 << 20), false},
		{"1,000 names", many, true},
		{"a chain of 100", chain, true},
		{"no bytes", whole([]byte{}), false},
		{"random bytes", whole(bytes.Repeat([]byte{0x13, 0x37, 0xff}, 300)), true},
		{"nesting without end", whole(bytes.Repeat([]byte{0x30, 0x80}, 8000)), true},
		{"a cut end", whole(good.Certificate[0][:len(good.Certificate[0])/2]), true},
		{"bytes behind", whole(append(bytes.Clone(good.Certificate[0]), "more"...)), true},
		{"a month 13", raw("260102030405Z", "261302030405Z"), true},
		{"a date of letters", raw("360102030405Z", "xxxxxxxxxxxxx"), true},
		{"a version 9", raw("\xa0\x03\x02\x01\x02", "\xa0\x03\x02\x01\x09"), true},
		{"a negative serial", raw("\x02\x02\x10\x92", "\x02\x02\x90\x92"), true},
		{"a name of control characters", raw("hostile.example", "\x00\x1b[31m\xff\xfe\x07\r\n\x00\x00\x00\x00"), true},
		{"an unknown curve", raw("\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x2a\x86\x48\xce\x3d\x03\x01\x7f"), true},
	} {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cfg := &tls.Config{MinVersion: v, MaxVersion: v, Certificates: []tls.Certificate{p.cert}}
			out = append(out, hostile{tls.VersionName(v) + " certificate: " + p.name, 443,
				func(c *net.TCPConn) { serveTLS(c, cfg) },
				[]probes.Outcome{probes.OutcomeAnswered, probes.OutcomeInconclusive}, p.shown && v == tls.VersionTLS12})
		}
	}
	return out
}
