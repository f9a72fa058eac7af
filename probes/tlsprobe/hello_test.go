package tlsprobe

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRegistry(t *testing.T) {
	for i := 1; i < len(registry); i++ {
		if registry[i-1].id >= registry[i].id {
			t.Errorf("0x%04x after 0x%04x", registry[i].id, registry[i-1].id)
		}
	}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := CipherName(s.ID); got != s.Name {
			t.Errorf("0x%04x is %q, crypto/tls says %q", s.ID, got, s.Name)
		}
	}
	if got, want := CipherName(0xfafa), tls.CipherSuiteName(0xfafa); got != want {
		t.Errorf("unknown suite is %q, want %q", got, want)
	}
}

func TestOfferedSuites(t *testing.T) {
	for name, list := range map[string][]uint16{
		"wide": wideSuites[:], "bare": bareSuites[:], "DTLS": dtlsSuites[:],
	} {
		seen := map[uint16]bool{}
		for _, id := range list {
			if seen[id] || strings.HasPrefix(CipherName(id), "0x") {
				t.Errorf("%s: 0x%04x is there twice, or has no name", name, id)
			}
			seen[id] = true
		}
	}
	if n := len(wideSuites); n > 128 {
		t.Errorf("%d suites, which some servers do not read", n)
	}
}

func TestVersionNames(t *testing.T) {
	for v, want := range map[uint16]string{
		VersionSSL20: "SSLv2", VersionSSL30: "SSLv3", tls.VersionTLS10: "TLS 1.0",
		tls.VersionTLS13: "TLS 1.3", VersionDTLS10: "DTLS 1.0", VersionDTLS12: "DTLS 1.2",
		VersionDTLS13: "DTLS 1.3", versionDTLSOld: "DTLS 0.9", 0x0305: "0x0305",
	} {
		if got := VersionName(v); got != want {
			t.Errorf("0x%04x is %q, want %q", v, got, want)
		}
	}
}

// The sizes that servers are known to stumble over.
func TestHelloSizes(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, tt := range []struct {
		name  string
		hello Hello
		limit int
	}{
		{"SSL 2.0", Hello{Version: VersionSSL20}, 64},
		{"SSL 3.0", Hello{Version: VersionSSL30, Name: long}, 255},
		{"TLS 1.0", Hello{Version: tls.VersionTLS10, Name: long}, 255},
		{"TLS 1.1", Hello{Version: tls.VersionTLS11, Name: long}, 255},
		{"TLS 1.2", Hello{Version: tls.VersionTLS12, Name: long[:100]}, 511},
		{"TLS 1.2, longest name", Hello{Version: tls.VersionTLS12, Name: long}, 699},
	} {
		if n := len(ClientHello(tt.hello)); n > tt.limit {
			t.Errorf("%s: %d bytes, more than %d", tt.name, n, tt.limit)
		}
	}
	second, err := DTLSEcho(DTLSClientHello([32]byte{}), make([]byte, 255))
	if err != nil || len(second) > 576-28 {
		t.Errorf("DTLS with a cookie: %d bytes, %v", len(second), err)
	}
}

// The bytes that begin each hello, written out.
func TestHelloBytes(t *testing.T) {
	random := [32]byte([]byte(strings.Repeat("R", 32)))
	for _, tt := range []struct {
		name  string
		hello Hello
		want  string
	}{
		{
			"SSL 3.0",
			Hello{Version: VersionSSL30, Suites: []uint16{4, 10}, Random: random},
			"\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00" + string(random[:]) + "\x00\x00\x04\x00\x04\x00\x0a\x01\x00",
		},
		{
			"TLS 1.0",
			Hello{Version: tls.VersionTLS10, Suites: []uint16{4}},
			"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01" + identification + "\x00\x00\x02\x00\x04\x01\x00",
		},
		{
			"SSL 2.0",
			Hello{Version: VersionSSL20, Random: random},
			"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" +
				"\x07\x00\xc0\x05\x00\x80\x03\x00\x80\x01\x00\x80\x06\x00\x40\x04\x00\x80\x02\x00\x80" + string(random[:16]),
		},
	} {
		if diff := cmp.Diff(tt.want, string(ClientHello(tt.hello))); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// What crypto/tls reads in a hello of ours.
func TestHelloAsAServerSeesIt(t *testing.T) {
	var got *tls.ClientHelloInfo
	cfg := &tls.Config{MinVersion: tls.VersionTLS10, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		got = h
		return nil, errors.New("seen")
	}}
	hello := Hello{Version: tls.VersionTLS12, Name: "box.example.", ALPN: []string{"h2", "http/1.1"}}
	flight(cfg, ClientHello(hello))
	if got == nil {
		t.Fatal("not understood")
	}
	if got.ServerName != "box.example" || !slices.Equal(got.SupportedProtos, hello.ALPN) ||
		!slices.Equal(got.CipherSuites, wideSuites[:]) || !slices.Contains(got.SupportedPoints, 0) ||
		!slices.Contains(got.SupportedCurves, tls.X25519) ||
		!slices.Contains(got.SignatureSchemes, tls.PSSWithSHA256) {
		t.Errorf("%+v", got)
	}
	flight(cfg, ClientHello(Hello{Version: tls.VersionTLS12, Name: "192.0.2.1"}))
	if got.ServerName != "" {
		t.Errorf("sent %q", got.ServerName)
	}
	flight(cfg, ClientHello(Hello{Version: tls.VersionTLS11, Name: "box.example"}))
	if got.ServerName != "" || len(got.Extensions) > 0 || !slices.Equal(got.SupportedVersions, []uint16{tls.VersionTLS11, tls.VersionTLS10}) {
		t.Errorf("%+v", got)
	}
	if !bytes.Equal(ClientHello(hello), ClientHello(hello)) {
		t.Error("two hellos differ")
	}
}
