//go:build integration

package tlsprobe

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pemFiles writes a certificate and its key, and gives the certificate too.
func pemFiles(t *testing.T) (cert, key string, der []byte) {
	t.Helper()
	pair := newCertificate(t, rsaKey(t), func(c *x509.Certificate) { c.DNSNames = []string{"box.example"} })
	return pemFile(t, "CERTIFICATE", pair.Certificate[0]), keyFile(t, pair.PrivateKey), pair.Certificate[0]
}

func keyFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, "PRIVATE KEY", der)
}

func pemFile(t *testing.T, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// start runs a server until the test ends, and gives what its output says of
// its address.
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
		var log strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&log, lines.Text())
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[len(m)-1]
				io.Copy(io.Discard, out)
				return
			}
		}
		found <- "" // it is gone
		t.Log(log.String())
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		stdin.Close()
		<-drained
		cmd.Wait() // killed
	})
	select {
	case addr := <-found:
		if addr == "" {
			t.Fatalf("%s ended", command)
		}
		return addr
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not get ready", command)
	}
	return ""
}

var accepting = regexp.MustCompile(`^ACCEPT (127\.0\.0\.1:\d+)`)

// openssl starts s_server; "CERT" and "KEY" in args stand for the files.
func openssl(t *testing.T, cert, key string, args ...string) string {
	t.Helper()
	all := append([]string{"s_server", "-accept", "127.0.0.1:0"}, args...)
	for i := range all {
		all[i] = strings.NewReplacer("CERT", cert, "KEY", key).Replace(all[i])
	}
	return start(t, accepting, "openssl", all...)
}

// gnutls starts gnutls-serv, which takes a port and no address.
func gnutls(t *testing.T, args ...string) string {
	t.Helper()
	addr, port := freePort(t)
	start(t, regexp.MustCompile(`(?i)listening on IPv4.*done`), "gnutls-serv", append(args, "--port", port)...)
	return addr
}

// freePort gives an address of loopback at which nothing listens now.
func freePort(t *testing.T) (addr, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), port
}

// nss starts selfserv, which takes a port and no address, limited to versions.
func nss(t *testing.T, cert, key, versions, suites string) string {
	t.Helper()
	dir := t.TempDir()
	bundle := filepath.Join(dir, "box.p12")
	for _, args := range [][]string{
		{"openssl", "pkcs12", "-export", "-in", cert, "-inkey", key, "-name", "box", "-passout", "pass:x", "-out", bundle},
		{"certutil", "-N", "-d", "sql:" + dir, "--empty-password"},
		{"pk12util", "-i", bundle, "-d", "sql:" + dir, "-W", "x"},
	} {
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Skipf("%s is not installed", args[0])
		}
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, out)
		}
	}
	addr, port := freePort(t)
	start(t, regexp.MustCompile(`About to call accept`), "selfserv", "-d", "sql:"+dir, "-n", "box",
		"-p", port, "-V", versions, "-c", suites, "-v")
	return addr
}
