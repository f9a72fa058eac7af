//go:build integration

package tlsprobe

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// The suites, versions and demands that crypto/tls refuses, from real servers
// on loopback. None of them speaks SSL 2.0 any more.

func TestOpenSSL(t *testing.T) {
	cert, key, der := pemFiles(t)
	with := func(args ...string) []string { return append([]string{"-cert", "CERT", "-key", "KEY"}, args...) }
	const refused = "handshake failure"
	tests := []struct {
		name string
		args []string
		made []int
		want probes.TLSFacts // Name as it was offered; no certificate when bare
		bare bool
	}{
		{"TLS 1.0", with("-tls1", "-cipher", "ALL:@SECLEVEL=0"), []int{0},
			probes.TLSFacts{Version: "TLS 1.0", Cipher: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"}, false},
		{"TLS 1.1", with("-tls1_1", "-cipher", "AES256-SHA:@SECLEVEL=0"), []int{0},
			probes.TLSFacts{Version: "TLS 1.1", Cipher: "TLS_RSA_WITH_AES_256_CBC_SHA"}, false},
		{"TLS 1.3", with("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"), []int{0},
			probes.TLSFacts{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256"}, false},
		{"Camellia alone", with("-tls1_2", "-cipher", "CAMELLIA256-SHA256"), []int{0, 1, 3},
			probes.TLSFacts{Version: "TLS 1.2", Cipher: "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA256", Alert: refused}, false},
		{"ARIA and CCM alone", with("-tls1_2", "-cipher", "DHE-RSA-AES128-CCM:ARIA128-GCM-SHA256"), []int{0, 1, 3},
			probes.TLSFacts{Version: "TLS 1.2", Cipher: "TLS_DHE_RSA_WITH_AES_128_CCM", Alert: refused}, false},
		{"no encryption", with("-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"), []int{0, 1, 3},
			probes.TLSFacts{Version: "TLS 1.2", Cipher: "TLS_ECDHE_RSA_WITH_NULL_SHA", Alert: refused}, false},
		{"anonymous", []string{"-nocert", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"}, []int{0, 1, 3, 7},
			probes.TLSFacts{Version: "TLS 1.2", Cipher: "TLS_DH_anon_WITH_AES_256_GCM_SHA384"}, true},
		{"anonymous with AES-128", []string{"-nocert", "-tls1_2", "-cipher", "ADH-AES128-GCM-SHA256:@SECLEVEL=0"}, []int{0, 1, 3, 7},
			probes.TLSFacts{Version: "TLS 1.2", Cipher: "TLS_DH_anon_WITH_AES_128_GCM_SHA256"}, true},
		{"shared key", []string{"-nocert", "-tls1_2", "-psk", "0123456789", "-cipher", "PSK:@SECLEVEL=0"}, []int{0, 1, 3},
			probes.TLSFacts{Version: "TLS 1.2", Cipher: "TLS_PSK_WITH_AES_128_GCM_SHA256", Alert: refused}, true},
		{"client certificate", with("-tls1_2", "-Verify", "1", "-cipher", "AES128-SHA"), []int{0},
			probes.TLSFacts{
				Version: "TLS 1.2", Cipher: "TLS_RSA_WITH_AES_128_CBC_SHA", Alert: refused,
				ClientCert: ClientCertRequested,
			}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := openssl(t, cert, key, tt.args...)
			got, made := climb(t, addr, "box.example")
			want := tt.want
			if !tt.bare {
				want.Certificate = Certificate(der)
			}
			want.Name, want.Offered = "box.example", got.Offered
			if isAnonymous(want.Cipher) {
				want.Name = "" // who has no certificate is not told a name
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.made, made); diff != "" {
				t.Error(diff)
			}
			if (got.Offered == "") != (got.Alert == "") {
				t.Errorf("offered %q, alert %q", got.Offered, got.Alert)
			}
		})
	}
}

// A certificate with a key that crypto/x509 does not know.
func TestOpenSSLBrainpool(t *testing.T) {
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	for _, args := range [][]string{
		{"ecparam", "-name", "brainpoolP256r1", "-genkey", "-noout", "-out", key},
		{"req", "-x509", "-new", "-key", key, "-subj", "/CN=box.example", "-out", cert},
	} {
		if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
			t.Skipf("openssl %s: %v: %s", args[0], err, out)
		}
	}
	addr := openssl(t, cert, key, "-tls1_2", "-cert", "CERT", "-key", "KEY")
	facts, made := climb(t, addr)
	if facts.Certificate == nil || facts.Certificate.Key != "ECDSA brainpoolP256r1" ||
		facts.Certificate.Subject != "CN=box.example" || facts.Certificate.Error == "" {
		t.Errorf("%+v with %+v, offers %v", facts, facts.Certificate, made)
	}
}

// A server that refuses a name it does not have is asked without one.
func TestOpenSSLRefusesTheName(t *testing.T) {
	cert, key, _ := pemFiles(t)
	addr := openssl(t, cert, key, "-cert", "CERT", "-key", "KEY", "-cert2", "CERT", "-key2", "KEY",
		"-servername", "other.example", "-servername_fatal")
	facts, made := climb(t, addr, "box.example")
	if facts.Alert != "" || facts.Name != "" || len(made) != 2 || facts.Certificate == nil {
		t.Errorf("%+v, offers %v", facts, made)
	}
}

// dtlsByHand makes one conversation the way a session does: hello, cookie,
// hello with it, flight.
func dtlsByHand(t *testing.T, addr string, first []byte) Result {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	send := func(b []byte) {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	send(first)
	defer send(DTLSGoodbye())
	var r DTLSReader
	answered := false
	buf := make([]byte, 1<<16)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return r.Result(err)
		}
		if r.Feed(buf[:n]) {
			return r.Result(nil)
		}
		if cookie := r.Cookie(); cookie != nil && !answered {
			answered = true
			echo, err := DTLSEcho(first, cookie)
			if err != nil {
				t.Fatal(err)
			}
			send(echo)
		}
	}
}

// databasePayload is the hello that the built-in database sends.
func databasePayload(t *testing.T) []byte {
	t.Helper()
	sources, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	p := db.Lookup(probes.UDP, "DTLSSessionReq")
	if p == nil {
		t.Fatal("no such probe")
	}
	return p.Payload
}

func TestOpenSSLOverDatagrams(t *testing.T) {
	cert, key, der := pemFiles(t)
	with := func(args ...string) []string { return append([]string{"-cert", "CERT", "-key", "KEY"}, args...) }
	tests := []struct {
		name string
		args []string
		want probes.TLSFacts
		bare bool
	}{
		{"DTLS 1.2", with("-dtls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
			probes.TLSFacts{Version: "DTLS 1.2", Cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, false},
		{"DTLS 1.0", with("-dtls1", "-cipher", "AES128-SHA:@SECLEVEL=0"),
			probes.TLSFacts{Version: "DTLS 1.0", Cipher: "TLS_RSA_WITH_AES_128_CBC_SHA"}, false},
		{"in pieces", with("-dtls1_2", "-mtu", "300", "-cipher", "AES128-SHA"),
			probes.TLSFacts{Version: "DTLS 1.2", Cipher: "TLS_RSA_WITH_AES_128_CBC_SHA"}, false},
		{"client certificate", with("-dtls1_2", "-Verify", "1", "-cipher", "AES128-SHA"),
			probes.TLSFacts{Version: "DTLS 1.2", Cipher: "TLS_RSA_WITH_AES_128_CBC_SHA", ClientCert: ClientCertRequested}, false},
		{"shared key", []string{"-dtls1_2", "-nocert", "-psk", "0123456789", "-cipher", "PSK-AES128-CCM8"},
			probes.TLSFacts{Version: "DTLS 1.2", Cipher: "TLS_PSK_WITH_AES_128_CCM_8"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := openssl(t, cert, key, tt.args...)
			want := Result{SpokeTLS: true, Whole: true, Facts: tt.want}
			want.Facts.Alert, want.Facts.Offered = NotContinued, "DTLS 1.2"
			if !tt.bare {
				want.Facts.Certificate = Certificate(der)
			}
			if diff := cmp.Diff(want, dtlsByHand(t, addr, DTLSClientHello([32]byte{}))); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("hello of the database", func(t *testing.T) {
		addr := openssl(t, cert, key, with("-dtls1_2")...)
		got := dtlsByHand(t, addr, databasePayload(t))
		if diff := cmp.Diff(Certificate(der), got.Facts.Certificate); diff != "" {
			t.Errorf("%+v: %s", got, diff)
		}
	})
}

func TestGnuTLS(t *testing.T) {
	cert, key, der := pemFiles(t)
	tests := []struct {
		name, priority string
		made           []int
		want           probes.TLSFacts
	}{
		{"TLS 1.0", "NORMAL:-VERS-ALL:+VERS-TLS1.0:-KX-ALL:+RSA:-CIPHER-ALL:+AES-128-CBC", []int{0},
			probes.TLSFacts{Version: "TLS 1.0", Cipher: "TLS_RSA_WITH_AES_128_CBC_SHA"}},
		{"Camellia alone", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+DHE-RSA:-CIPHER-ALL:+CAMELLIA-128-CBC", []int{0, 1, 3},
			probes.TLSFacts{Version: "TLS 1.2", Cipher: "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA"}},
		{"anonymous", "NONE:+VERS-TLS1.2:+ANON-ECDH:+AES-128-CBC:+SHA1:+SIGN-ALL:+COMP-NULL:+GROUP-ALL", []int{0, 1, 3},
			probes.TLSFacts{Version: "TLS 1.2", Cipher: "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := gnutls(t, "--x509certfile", cert, "--x509keyfile", key, "--disable-client-cert", "--priority", tt.priority)
			got, made := climb(t, addr, "box.example")
			if got.Version != tt.want.Version || got.Cipher != tt.want.Cipher {
				t.Errorf("%+v", got)
			}
			if diff := cmp.Diff(tt.made, made); diff != "" {
				t.Error(diff)
			}
			if tt.name != "anonymous" {
				if diff := cmp.Diff(Certificate(der), got.Certificate); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	for _, version := range []string{"DTLS1.0", "DTLS1.2"} {
		t.Run(version, func(t *testing.T) {
			addr := gnutls(t, "--udp", "--x509certfile", cert, "--x509keyfile", key,
				"--priority", "NORMAL:-VERS-ALL:+VERS-"+version)
			got := dtlsByHand(t, addr, DTLSClientHello([32]byte{}))
			if want := strings.Replace(version, "S", "S ", 1); !got.Whole || got.Facts.Version != want {
				t.Errorf("%+v", got)
			}
			if diff := cmp.Diff(Certificate(der), got.Facts.Certificate); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// NSS is the last library that still speaks SSL 3.0.
func TestNSS(t *testing.T) {
	cert, key, der := pemFiles(t)
	for _, tt := range []struct{ name, versions, suites, version, cipher string }{
		{"SSL 3.0 with RC4 and MD5", "ssl3:ssl3", ":0004", "SSLv3", "TLS_RSA_WITH_RC4_128_MD5"},
		{"SSL 3.0 with AES", "ssl3:ssl3", ":002F", "SSLv3", "TLS_RSA_WITH_AES_128_CBC_SHA"},
		{"SEED alone", "tls1.0:tls1.2", ":0096", "TLS 1.2", "TLS_RSA_WITH_SEED_CBC_SHA"},
		{"DES alone", "tls1.0:tls1.0", ":0009", "TLS 1.0", "TLS_RSA_WITH_DES_CBC_SHA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := nss(t, cert, key, tt.versions, tt.suites)
			got, made := climb(t, addr, "box.example")
			if got.Version != tt.version || got.Cipher != tt.cipher || got.Alert == "" || len(made) > MaxOffers {
				t.Errorf("%+v, offers %v", got, made)
			}
			if diff := cmp.Diff(Certificate(der), got.Certificate); diff != "" {
				t.Error(diff)
			}
		})
	}
}
