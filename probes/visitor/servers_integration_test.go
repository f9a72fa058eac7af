//go:build integration

package visitor

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sonde/probes"
	"sonde/probes/session"
	"sonde/probes/tlsprobe"
)

// TestOddTLSServers visits real servers on loopback with which crypto/tls has
// nothing in common, with the whole database.
func TestOddTLSServers(t *testing.T) {
	cert, key, sha := certificateFiles(t)
	v := wholeVisitor(t, "")
	with := []string{"-cert", cert, "-key", key}
	tests := []struct {
		name    string
		addr    func(t *testing.T) netip.AddrPort
		version string
		cipher  string
		cert    string
		alert   string
	}{
		{"SSL 3.0 with RC4", nss(cert, key, "ssl3:ssl3", ":0004"),
			"SSLv3", "TLS_RSA_WITH_RC4_128_MD5", sha, "protocol version not supported"},
		{"DES alone", nss(cert, key, "tls1.0:tls1.0", ":0009"),
			"TLS 1.0", "TLS_RSA_WITH_DES_CBC_SHA", sha, "handshake failure"},
		{"Camellia alone", openssl(with, "-tls1_2", "-cipher", "CAMELLIA256-SHA256"),
			"TLS 1.2", "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA256", sha, "handshake failure"},
		{"client certificate", openssl(with, "-tls1_2", "-Verify", "1", "-cipher", "AES128-SHA"),
			"TLS 1.2", "TLS_RSA_WITH_AES_128_CBC_SHA", sha, "handshake failure"},
		{"TLS 1.3 with a client certificate", openssl(with, "-tls1_3", "-Verify", "1"),
			"TLS 1.3", "", sha, "certificate required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ep := endpoint(tt.addr(t), probes.TCP)
			o := v.Visit(t.Context(), ep, session.Remembered{})
			if o.Tunnel != probes.TLS || o.Outcome != probes.OutcomeAnswered || len(o.TLS) != 1 {
				t.Fatalf("%s, tunnel %q, facts %+v, errors %q", o.Outcome, o.Tunnel, o.TLS, o.Errors)
			}
			f := o.TLS[0]
			have := ""
			if f.Certificate != nil {
				have = f.Certificate.SHA256
			}
			if f.Version != tt.version || f.Cipher != cmp.Or(tt.cipher, f.Cipher) || have != tt.cert || f.Alert != tt.alert {
				t.Errorf("%+v, certificate %s; errors %q", f, have, o.Errors)
			}
			again := v.Visit(t.Context(), ep, session.Recall(&o))
			if len(again.TLS) != 1 || again.TLS[0].Version != tt.version || again.TLS[0].Alert != tt.alert || again.Tunnel != probes.TLS {
				t.Errorf("a revisit: %+v, errors %q", again.TLS, again.Errors)
			}
			if again.Cost.Connections != 1 {
				t.Errorf("a revisit: %d connections", again.Cost.Connections)
			}
			t.Logf("%+v, then %+v", o.Cost, again.Cost)
		})
	}
}

// TestAnonymousServer: a server without a certificate lets us in, and is asked
// what runs there.
func TestAnonymousServer(t *testing.T) {
	v := wholeVisitor(t, "")
	addr := openssl(nil, "-nocert", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0", "-www")(t)
	o := v.Visit(t.Context(), endpoint(addr, probes.TCP), session.Remembered{})
	if o.Tunnel != probes.TLS || o.Service != "http" || len(o.TLS) != 1 {
		t.Fatalf("%s, tunnel %q, service %q, facts %+v, errors %q", o.Outcome, o.Tunnel, o.Service, o.TLS, o.Errors)
	}
	f := o.TLS[0]
	if f.Version != "TLS 1.2" || !strings.HasPrefix(f.Cipher, "TLS_DH_anon_") || f.Certificate != nil || f.Alert != "" {
		t.Errorf("%+v", f)
	}
	again := v.Visit(t.Context(), endpoint(addr, probes.TCP), session.Recall(&o))
	if again.Identity.Service != o.Identity.Service || again.Tunnel != probes.TLS || again.Cost.Connections != 1 {
		t.Errorf("a revisit: %+v, tunnel %q, %+v, errors %q", again.Identity, again.Tunnel, again.Cost, again.Errors)
	}
}

// TestServerThatRefusesTheName asks without the name that it does not have, and
// at once when it is known.
func TestServerThatRefusesTheName(t *testing.T) {
	cert, key, sha := certificateFiles(t)
	v := wholeVisitor(t, "")
	ep := endpoint(openssl([]string{"-cert", cert, "-key", key, "-cert2", cert, "-key2", key},
		"-servername", "other.example", "-servername_fatal", "-www")(t), probes.TCP)
	ep.Names = []string{"box.example"}
	o := v.Visit(t.Context(), ep, session.Remembered{})
	if len(o.TLS) != 1 || o.TLS[0].Alert != "" || o.TLS[0].Certificate.SHA256 != sha ||
		o.Tunnel != probes.TLS || o.Service != "http" || o.Offer != 1 {
		t.Fatalf("%s in %q, offer %d, facts %+v, errors %q", o.Service, o.Tunnel, o.Offer, o.TLS, o.Errors)
	}
	again := v.Visit(t.Context(), ep, session.Recall(&o))
	if again.Identity.String() != o.Identity.String() || again.Cost.Connections != 1 || again.Cost.Probes != 1 {
		t.Errorf("a revisit: %+v, the first: %+v", again, o)
	}
}

// TestTicketsOfRealServers: a revisit of a server of TLS 1.2 takes three round
// trips, as one of TLS 1.3 does. One that gives no tickets takes four.
func TestTicketsOfRealServers(t *testing.T) {
	cert, key, _ := certificateFiles(t)
	files := []string{"-cert", cert, "-key", key, "-www"}
	for _, tt := range []struct {
		name    string
		addr    func(t *testing.T) netip.AddrPort
		trips   int64
		resumed bool
	}{
		{"OpenSSL, TLS 1.2", openssl(files, "-tls1_2"), 3, true},
		{"OpenSSL, TLS 1.0", openssl(files, "-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"), 3, true},
		{"OpenSSL, TLS 1.3", openssl(files, "-tls1_3"), 3, false},
		{"OpenSSL, no tickets", openssl(files, "-tls1_2", "-no_ticket"), 4, false},
		{"nginx, TLS 1.2", nginx(cert, key, "TLSv1.2"), 3, true},
		{"nginx, TLS 1.3", nginx(cert, key, "TLSv1.3"), 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			revisits(t, endpoint(tt.addr(t), probes.TCP), webDatabase, tt.trips, tt.resumed)
		})
	}
}

// nginx starts a web server of its own that speaks one version of TLS.
func nginx(cert, key, version string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		dir := t.TempDir()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().(*net.TCPAddr).AddrPort()
		l.Close()
		conf := filepath.Join(dir, "nginx.conf")
		text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr notice;
events {}
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s;
uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
server { listen %[2]s ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s; ssl_protocols %[5]s;
ssl_ciphers ALL:@SECLEVEL=0; return 200 box; } }`, dir, addr, cert, key, version)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		start(t, regexp.MustCompile(`(using the "epoll")`), "nginx", "-c", conf, "-e", "stderr")
		return addr
	}
}

// TestDTLSServers reads certificates over datagrams.
func TestDTLSServers(t *testing.T) {
	cert, key, sha := certificateFiles(t)
	v := wholeVisitor(t, dtlsEverywhere(t))
	for _, tt := range []struct {
		name    string
		args    []string
		version string
	}{
		{"DTLS 1.2", []string{"-dtls1_2"}, "DTLS 1.2"},
		{"DTLS 1.2 that wants a cookie", []string{"-dtls1_2", "-listen"}, "DTLS 1.2"},
		{"DTLS 1.0", []string{"-dtls1", "-cipher", "AES128-SHA:@SECLEVEL=0"}, "DTLS 1.0"},
		{"in pieces", []string{"-dtls1_2", "-mtu", "300"}, "DTLS 1.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ep := endpoint(openssl([]string{"-cert", cert, "-key", key}, tt.args...)(t), probes.UDP)
			known := session.Remembered{}
			for range 2 {
				o := v.Visit(t.Context(), ep, known)
				if o.Service != "dtls" || o.Tunnel != probes.NoTunnel || len(o.TLS) != 1 ||
					o.TLS[0].Version != tt.version || o.TLS[0].Alert != tlsprobe.NotContinued ||
					o.TLS[0].Certificate == nil || o.TLS[0].Certificate.SHA256 != sha {
					t.Fatalf("%+v, facts %+v, errors %q", o.Identity, o.TLS, o.Errors)
				}
				if o.Cost.Connections != 1 || o.Cost.Probes != 1 {
					t.Errorf("cost %+v", o.Cost)
				}
				known = session.Recall(&o)
				if tt.name == "DTLS 1.2 that wants a cookie" {
					return // it serves once
				}
			}
		})
	}
}

// wholeVisitor asks with the built-in database, or with another.
func wholeVisitor(t *testing.T, text string) *Visitor {
	t.Helper()
	sources := []probes.Source{{Name: "test.probes", Data: []byte(text)}}
	if text == "" {
		var err error
		if sources, err = probes.Builtin(); err != nil {
			t.Fatal(err)
		}
	}
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := session.New(session.Config{Database: db, Settings: session.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{Loops: realLoops(t), Prober: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// dtlsEverywhere is a database of the built-in DTLS hello for all ports.
func dtlsEverywhere(t *testing.T) string {
	t.Helper()
	sources, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	var payload strings.Builder
	for _, b := range db.Lookup(probes.UDP, "DTLSSessionReq").Payload {
		fmt.Fprintf(&payload, `\x%02x`, b)
	}
	return "Probe UDP DTLSSessionReq q|" + payload.String() + "|\nports 1-65535\n" +
		`match dtls m|^[\x15\x16]\xfe[\xfd\xff]\x00\x00|` + "\n"
}

// certificateFiles writes an RSA certificate, which old suites want, and its
// key, and gives the hash of the certificate.
func certificateFiles(t *testing.T) (cert, key, sha string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
		"-subj", "/CN=box.example")
	data, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	sum := sha256.Sum256(block.Bytes)
	return cert, key, hex.EncodeToString(sum[:])
}

func run(t *testing.T, command string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(command); err != nil {
		t.Skipf("%s is not installed", command)
	}
	if out, err := exec.CommandContext(t.Context(), command, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// openssl starts s_server.
func openssl(files []string, args ...string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		all := append([]string{"s_server", "-accept", "127.0.0.1:0"}, files...)
		said := start(t, regexp.MustCompile(`^ACCEPT (127\.0\.0\.1:\d+)`), "openssl", append(all, args...)...)
		return netip.MustParseAddrPort(said)
	}
}

// nss starts selfserv, limited to versions and suites. It takes a port and no
// address.
func nss(cert, key, versions, suites string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		dir := t.TempDir()
		bundle := filepath.Join(dir, "box.p12")
		run(t, "openssl", "pkcs12", "-export", "-in", cert, "-inkey", key, "-name", "box",
			"-passout", "pass:x", "-out", bundle)
		run(t, "certutil", "-N", "-d", "sql:"+dir, "--empty-password")
		run(t, "pk12util", "-i", bundle, "-d", "sql:"+dir, "-W", "x")
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().(*net.TCPAddr).AddrPort()
		l.Close()
		start(t, regexp.MustCompile(`(About to call accept)`), "selfserv", "-d", "sql:"+dir, "-n", "box",
			"-p", fmt.Sprint(addr.Port()), "-V", versions, "-c", suites, "-v")
		return addr
	}
}

// start runs a server until the test ends, and gives what its output says when
// it is ready.
func start(t *testing.T, ready *regexp.Regexp, command string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		t.Skipf("%s is not installed", command)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	stdin, err := cmd.StdinPipe() // at its end s_server ends
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				io.Copy(io.Discard, out)
				return
			}
		}
		close(found) // it is gone
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		stdin.Close()
		<-drained
		cmd.Wait() // killed
	})
	select {
	case said, ok := <-found:
		if !ok {
			t.Fatalf("%s ended", command)
		}
		return said
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not get ready", command)
	}
	return ""
}
