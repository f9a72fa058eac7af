package tlsprobe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

var (
	notBefore = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	notAfter  = time.Date(2034, 1, 2, 3, 4, 5, 0, time.UTC)
)

func rsaKey(t *testing.T) crypto.Signer { return key(t)(rsa.GenerateKey(rand.Reader, 2048)) }

func ecdsaKey(t *testing.T) crypto.Signer {
	return key(t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

// key adapts the generators' results, which differ in type.
func key(t *testing.T) func(crypto.Signer, error) crypto.Signer {
	return func(k crypto.Signer, err error) crypto.Signer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
}

func newCertificate(t *testing.T, k crypto.Signer, edit func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7),
		Subject:      pkix.Name{CommonName: "box.example", Organization: []string{"Box"}},
		NotBefore:    notBefore,
		NotAfter:     notAfter,
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

func TestCertificateFacts(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mail := &url.URL{Scheme: "spiffe", Host: "box", Path: "/db"}
	everySAN := func(c *x509.Certificate) {
		c.DNSNames = []string{"box.example"}
		c.IPAddresses = []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")}
		c.EmailAddresses = []string{"root@box.example"}
		c.URIs = []*url.URL{mail}
	}
	tests := []struct {
		name string
		key  crypto.Signer
		edit func(*x509.Certificate)
		want probes.Certificate
	}{
		{"RSA", rsaKey(t), nil, probes.Certificate{Key: "RSA 2048"}},
		{"ECDSA", ecdsaKey(t), nil, probes.Certificate{Key: "ECDSA P-256"}},
		{"Ed25519", edKey, nil, probes.Certificate{Key: "Ed25519"}},
		{"SANs of every kind", ecdsaKey(t), everySAN, probes.Certificate{
			Key: "ECDSA P-256",
			SANs: []string{
				"box.example", "192.0.2.1", "2001:db8::1", "root@box.example", "spiffe://box/db",
			},
			SANsCount: 5,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert := newCertificate(t, tt.key, tt.edit)
			want := tt.want
			want.Subject, want.Issuer = "CN=box.example,O=Box", "CN=box.example,O=Box"
			want.NotBefore, want.NotAfter = notBefore, notAfter
			sum := sha256.Sum256(cert.Certificate[0])
			want.SHA256 = hex.EncodeToString(sum[:])

			addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}})
			_, facts, err := shake(t, addr, Config{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, facts.Certificate); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHostileNames(t *testing.T) {
	cert := newCertificate(t, ecdsaKey(t), func(c *x509.Certificate) {
		c.Subject = pkix.Name{
			CommonName:   "a\x1b[31m\nb\u00e9\u202ec",
			Organization: []string{strings.Repeat("x", 4*MaxName)},
		}
	})
	facts := Certificate(cert.Certificate[0])
	if len(facts.Subject) != MaxName {
		t.Errorf("subject of %d bytes", len(facts.Subject))
	}
	if want := "a.[31m.b.....c"; !strings.Contains(facts.Subject, want) {
		t.Errorf("subject %q lacks %q", facts.Subject[:40], want)
	}
	for _, c := range []byte(facts.Subject) {
		if c < 0x20 || c > 0x7e {
			t.Fatalf("byte %#x in the subject", c)
		}
	}
}

func FuzzCertificate(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x01})
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	sound, err := os.ReadFile("testdata/box.der")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add(append(sound, 0))
	f.Fuzz(func(t *testing.T, der []byte) {
		facts := Certificate(der)
		if len(facts.SHA256) != 64 {
			t.Fatalf("hash %q", facts.SHA256)
		}
		if facts.Error == "" && facts.Key == "" {
			t.Fatal("neither error nor key")
		}
		if _, err := json.Marshal(facts); err != nil {
			t.Fatal(err) // of a time that cannot be written
		}
		names := append([]string{facts.Subject, facts.Issuer, facts.Error, facts.Key}, facts.SANs...)
		for _, name := range names {
			if name != printable(name, MaxName) {
				t.Fatalf("unprintable or long: %q", name)
			}
		}
		if len(facts.SANs) > probes.MaxSANs || facts.SANsCount < len(facts.SANs) {
			t.Fatalf("%d of %d SANs", len(facts.SANs), facts.SANsCount)
		}
	})
}
