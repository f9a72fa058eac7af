package tlsprobe

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"sonde/probes"
)

// What crypto/x509 refuses, made from a sound certificate by exchanging bytes:
// every fact that is not hit by the damage stays.
func TestRefusedCertificates(t *testing.T) {
	names := func(c *x509.Certificate) {
		c.DNSNames = []string{"box.example"}
		c.IPAddresses = []net.IP{net.ParseIP("192.0.2.1")}
	}
	soundEC := newCertificate(t, ecdsaKey(t), names).Certificate[0]
	soundRSA := newCertificate(t, rsaKey(t), names).Certificate[0]
	swap := func(old, new string) func([]byte) []byte {
		return func(raw []byte) []byte {
			if !bytes.Contains(raw, []byte(old)) {
				t.Fatalf("no %x in the certificate", old)
			}
			return bytes.ReplaceAll(raw, []byte(old), []byte(new))
		}
	}
	const box = "CN=box.example,O=Box"
	sans := []string{"box.example", "192.0.2.1"}
	tests := []struct {
		name   string
		sound  []byte
		damage func([]byte) []byte
		want   probes.Certificate // beside what all have
		error  string
	}{
		{"negative serial", soundEC, swap("\x02\x01\x07", "\x02\x01\xf9"), probes.Certificate{},
			"negative serial number"},
		{"month 13", soundEC, swap("240102030405Z", "241302030405Z"),
			probes.Certificate{NotBefore: time.Unix(1, 0)}, "malformed UTCTime"},
		{"time zone", soundEC, swap("\x17\x0d240102030405Z", "\x17\x0d2401020304+00"),
			probes.Certificate{NotBefore: time.Unix(1, 0)}, "malformed UTCTime"},
		{"no seconds, an offset", soundEC, swap("\x17\x0d240102030405Z", "\x18\x0d202401020304Z"),
			probes.Certificate{NotBefore: notBefore.Truncate(time.Minute)}, "malformed GeneralizedTime"},
		{"@ in a PrintableString", soundEC, swap("\x13\x0bbox.example", "\x13\x0bbox@example"),
			probes.Certificate{Subject: "CN=box@example,O=Box", Issuer: "CN=box@example,O=Box"},
			"invalid PrintableString"},
		{"UTF-8 that is none", soundEC, swap("\x13\x0bbox.example", "\x0c\x0bbox\xffexample"),
			probes.Certificate{Subject: "CN=box...example,O=Box", Issuer: "CN=box...example,O=Box"},
			"invalid UTF-8 string"},
		{"BMPString of odd length", soundEC, swap("\x13\x0bbox.example", "\x1e\x0b\x00b\x00o\x00x\x00.\x00ex"),
			probes.Certificate{Subject: "CN=box.e,O=Box", Issuer: "CN=box.e,O=Box"}, "invalid BMPString"},
		{"trailing data", soundEC, func(raw []byte) []byte { return append(bytes.Clone(raw), 0) },
			probes.Certificate{}, "trailing data"},
		{"unknown curve", soundEC, swap("\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x2a\x86\x48\xce\x3d\x03\x01\x01"),
			probes.Certificate{Key: "ECDSA P-192"}, "unsupported elliptic curve"},
		{"address of 11 bytes", soundEC, swap("\x82\x0bbox.example", "\x87\x0bbox.example"),
			probes.Certificate{SANs: []string{"address 626f782e6578616d706c65", "192.0.2.1"}},
			"cannot parse IP address of length 11"},
		{"RSA without exponent", soundRSA, swap("\x02\x03\x01\x00\x01", "\x02\x03\xff\x00\x01"),
			probes.Certificate{Key: "RSA 2048"}, "RSA"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := tt.damage(tt.sound)
			if _, err := x509.ParseCertificate(raw); err == nil {
				t.Fatal("crypto/x509 takes it")
			}
			got := Certificate(raw)
			want := Certificate(tt.sound)
			want.SHA256 = got.SHA256
			want.SANs, want.SANsCount, want.Key = sans, 2, orElse(tt.want.Key, want.Key)
			want.Subject, want.Issuer = orElse(tt.want.Subject, box), orElse(tt.want.Issuer, box)
			if tt.want.SANs != nil {
				want.SANs = tt.want.SANs
			}
			switch nb := tt.want.NotBefore; {
			case nb.Unix() == 1:
				want.NotBefore = time.Time{}
			case !nb.IsZero():
				want.NotBefore = nb
			}
			if !strings.Contains(got.Error, tt.error) {
				t.Errorf("error %q lacks %q", got.Error, tt.error)
			}
			want.Error = got.Error
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// Where both can read a certificate they read the same.
func TestLenientAgreesWithX509(t *testing.T) {
	var list [][]byte
	names := pkix.Name{
		CommonName: "b\u00fcx, + \"q\" \\ <x>; =#1", Country: []string{"DE", "AT"},
		Organization: []string{"One", "Two"}, SerialNumber: "77", PostalCode: []string{"1"},
		ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: []int{1, 2, 840, 113549, 1, 9, 1}, Value: "root@box.example"},
			{Type: []int{2, 5, 4, 4}, Value: " sur name "},
		},
	}
	for _, edit := range []func(*x509.Certificate){
		nil,
		func(c *x509.Certificate) { c.Subject = names },
		func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(1955, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		},
		func(c *x509.Certificate) {
			c.DNSNames = []string{"a.example", "*.b.example"}
			c.EmailAddresses = []string{"x@y.example"}
			c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1").To16(), net.ParseIP("192.0.2.9").To4()}
			c.URIs = []*url.URL{{Scheme: "https", Host: "box", Path: "/a b"}}
		},
	} {
		list = append(list, newCertificate(t, ecdsaKey(t), edit).Certificate[0],
			newCertificate(t, rsaKey(t), edit).Certificate[0])
	}
	for _, raw := range append(list, systemCertificates(t)...) {
		want := Certificate(raw)
		if want.Error != "" {
			continue
		}
		got := &probes.Certificate{SHA256: want.SHA256}
		lenient(got, raw)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// systemCertificates are those of the authorities that this machine trusts: a
// collection of everything that is odd and yet in use. There may be none.
func systemCertificates(t *testing.T) (list [][]byte) {
	files, err := filepath.Glob("/etc/ssl/certs/*.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // a dangling link
		}
		if block, _ := pem.Decode(data); block != nil {
			list = append(list, block.Bytes)
		}
	}
	t.Logf("%d certificates of this machine", len(list))
	return list
}

func TestTimes(t *testing.T) {
	day := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		tag  der.Tag
		text string
		want time.Time
	}{
		{der.UTCTime, "240102030405Z", day},
		{der.UTCTime, "240102040405+0100", day},
		{der.UTCTime, "2401020304Z", day.Truncate(time.Minute)},
		{der.UTCTime, "500102030405Z", day.AddDate(1950-2024, 0, 0)},
		{der.UTCTime, "490102030405Z", day.AddDate(2049-2024, 0, 0)},
		{der.UTCTime, "20240102030405Z", time.Time{}},
		{der.GeneralizedTime, "20240102030405Z", day},
		{der.GeneralizedTime, "20240102030405", day},
		{der.GeneralizedTime, "20240102030405.0Z", day},
		{der.GeneralizedTime, "99991231235959-0100", time.Time{}}, // year 10000
		{der.GeneralizedTime, "00000101000000+0100", time.Time{}}, // year -1
		{der.GeneralizedTime, "", time.Time{}},
		{der.INTEGER, "240102030405Z", time.Time{}},
	}
	for _, tt := range tests {
		s := cryptobyte.String(append([]byte{byte(tt.tag), byte(len(tt.text))}, tt.text...))
		got := readTime(&s)
		if !got.Equal(tt.want) {
			t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%q: %v", tt.text, err)
		}
	}
}

// Of a name of 20,000 attributes, which takes long to word, the first count.
func TestNameOfManyAttributes(t *testing.T) {
	raw := newCertificate(t, ecdsaKey(t), func(c *x509.Certificate) {
		for range 20000 {
			c.Subject.OrganizationalUnit = append(c.Subject.OrganizationalUnit, "x")
		}
	}).Certificate[0]
	strict := Certificate(raw)
	if strict.Error != "" {
		t.Fatal(strict.Error)
	}
	if n := strings.Count(strict.Subject, "OU="); n < 32 || n > maxAttributes {
		t.Errorf("%d attributes in %q", n, strict.Subject)
	}
}
