//go:build integration && linux

package starttls

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sonde/probes/tlsprobe"
)

// TestInspIRCd asks an IRC server that offers STARTTLS.
func TestInspIRCd(t *testing.T) {
	dir := certificate(t, "irc.example")
	port := freePort(t)
	config := fmt.Sprintf(`<server name="irc.example" description="x" network="x" id="1AA">
<admin name="x" nick="x" email="x@example">
<bind address="127.0.0.1" port="%d" type="clients">
<connect allow="*" timeout="60">
<module name="ssl_gnutls"><module name="starttls"><module name="cap">
<sslprofile name="Clients" provider="gnutls" certfile="%[2]s/cert.pem" keyfile="%[2]s/key.pem">
<starttls profile="Clients">
<pid file="%[2]s/pid">
`, port, dir)
	write(t, filepath.Join(dir, "inspircd.conf"), config)
	serve(t, dir, port, "inspircd", "--runasroot", "--nofork", "--config", filepath.Join(dir, "inspircd.conf"))
	conn := dial(t, port, "127.0.0.1")
	if subject := secure(t, conn, "irc"); subject != "CN=irc.example" {
		t.Errorf("certificate of %q", subject)
	}
}

// TestMariaDB asks a database server with TLS, and then until it has enough: it
// counts each connection that ends without a login.
func TestMariaDB(t *testing.T) {
	dir := certificate(t, "db.example")
	if os.Getuid() != 0 {
		t.Skip("needs root to run the server without another user")
	}
	install, err := exec.LookPath("mariadb-install-db")
	if err != nil {
		t.Skip("needs mariadb-install-db")
	}
	data := filepath.Join(dir, "data")
	if out, err := exec.Command(install, "--no-defaults", "--user=root", "--skip-test-db",
		"--datadir="+data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	write(t, filepath.Join(dir, "init.sql"), "CREATE USER x@'127.0.0.2' IDENTIFIED BY 'x';\n")
	const enough = 3
	port := freePort(t)
	serve(t, dir, port, "mariadbd", "--no-defaults", "--user=root", "--datadir="+data,
		"--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "pid"), "--bind-address=127.0.0.1",
		fmt.Sprintf("--port=%d", port), fmt.Sprintf("--max-connect-errors=%d", enough),
		"--ssl-cert="+filepath.Join(dir, "cert.pem"), "--ssl-key="+filepath.Join(dir, "key.pem"),
		"--init-file="+filepath.Join(dir, "init.sql"))
	begin, _ := For("mysql")
	for visits := range 10 * enough {
		conn := dial(t, port, "127.0.0.2")
		conn.SetDeadline(time.Now().Add(15 * time.Second))
		d := begin(Options{})
		state, err := run(conn, d)
		if err != nil {
			t.Fatal(err)
		}
		if state == Refused && strings.HasPrefix(d.Reason(), "error 1129") {
			t.Logf("after %d visits: %q", visits, d.Reason())
			conn.Close()
			if visits < enough {
				t.Errorf("blocked after %d visits, allowed are %d", visits, enough)
			}
			return
		}
		if subject := shake(t, conn); subject != "CN=db.example" {
			t.Fatalf("visit %d: %v %q, certificate of %q", visits, state, d.Reason(), subject)
		}
	}
	t.Errorf("not blocked after %d visits: does it strike no more?", 10*enough)
}

// secure holds the dialogue of a service, shakes hands, and gives the subject
// of the certificate.
func secure(t *testing.T, conn net.Conn, service string) (subject string) {
	t.Helper()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(15 * time.Second))
	begin, _ := For(service)
	d := begin(Options{Name: "client.example"})
	state, err := run(conn, d)
	if state != Ready || err != nil {
		t.Fatalf("%s: %v %q %v", service, state, d.Reason(), err)
	}
	return shake(t, conn)
}

// shake ends with the subject of the certificate, and the connection.
func shake(t *testing.T, conn net.Conn) (subject string) {
	t.Helper()
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, facts, err := tlsprobe.Handshake(ctx, conn, tlsprobe.Config{})
	if err != nil || facts.Certificate == nil {
		t.Fatalf("handshake: %v", err)
	}
	return facts.Certificate.Subject
}

// certificate makes a folder with cert.pem and key.pem.
func certificate(t *testing.T, name string) (dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serve runs a server until the test ends, and waits until it accepts.
func serve(t *testing.T, dir string, port int, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for limit := time.After(30 * time.Second); ; {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", name, out.String())
		case <-limit:
			t.Fatalf("%s does not listen", name)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func dial(t *testing.T, port int, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
