//go:build integration && linux

package probes

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Addresses within the test's own network namespace. Servers treat a client on
// loopback as a friend; one with an address of its own they do not.
const (
	serverAddr = "198.18.250.1"
	clientAddr = "198.18.250.2"
)

// TestGoodbyeToRealServers runs itself again in a network namespace of its own,
// where addresses have names: MySQL counts the errors of named hosts only.
func TestGoodbyeToRealServers(t *testing.T) {
	if os.Getenv("SONDE_GOODBYE_INNER") == "" {
		if os.Getuid() != 0 {
			t.Skip("needs root (CAP_SYS_ADMIN) for a network namespace")
		}
		c := exec.Command(os.Args[0], "-test.run=^TestGoodbyeToRealServers$", "-test.v")
		c.Env = append(os.Environ(), "SONDE_GOODBYE_INNER=1")
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hosts"), "127.0.0.1 localhost\n"+serverAddr+" server.example\n"+clientAddr+" client.example\n")
	write(t, filepath.Join(dir, "resolv.conf"), "")
	for _, c := range [][]string{
		{"mount", "--bind", filepath.Join(dir, "hosts"), "/etc/hosts"},
		{"mount", "--bind", filepath.Join(dir, "resolv.conf"), "/etc/resolv.conf"},
		{"ip", "link", "set", "lo", "up"},
		{"ip", "addr", "add", serverAddr + "/32", "dev", "lo"},
		{"ip", "addr", "add", clientAddr + "/32", "dev", "lo"},
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", c, err, out)
		}
	}
	t.Run("mariadb", mariadbDoesNotBlock)
	t.Run("sshd", sshdHearsAnOrderlyEnd)
}

// mariadbDoesNotBlock visits 110 times, with max_connect_errors at its default
// of 100, and shows beside it what a bare close does.
func mariadbDoesNotBlock(t *testing.T) {
	const visits = 110
	owner, err := user.Lookup("mysql")
	if _, missing := exec.LookPath("mariadbd"); missing != nil || err != nil {
		t.Skip("mariadb-server is not installed")
	}
	dir, err := os.MkdirTemp("/tmp", "goodbye") // a path that the server may reach
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uid, _ := strconv.Atoi(owner.Uid)
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	if out, err := exec.Command("mariadb-install-db", "--no-defaults", "--user=mysql", "--datadir="+data,
		"--skip-test-db", "--force").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	script := filepath.Join(dir, "init.sql")
	write(t, script, "CREATE USER lab@'%' IDENTIFIED BY 'x';\n")
	start(t, io.Discard, "mariadbd", "--no-defaults", "--user=mysql", "--datadir="+data, "--socket="+socket,
		"--pid-file="+filepath.Join(dir, "pid"), "--bind-address="+serverAddr, "--init-file="+script,
		"--innodb-buffer-pool-size=8M", "--max-connect-errors=100")
	if n := refusedAt(t, visits, nil); n >= visits {
		t.Errorf("bare ends: not blocked after %d; the test shows nothing", n)
	} else {
		t.Logf("bare ends: blocked at visit %d", n+1)
	}
	if out, err := exec.Command("mariadb", "--no-defaults", "--socket="+socket, "-e", "FLUSH HOSTS").CombinedOutput(); err != nil {
		t.Fatalf("flush: %v: %s", err, out)
	}
	if n := refusedAt(t, visits, Goodbye("mysql", NeedCredentials)); n < visits {
		t.Errorf("goodbyes: blocked at visit %d", n+1)
	}
}

// refusedAt gives the first visit that the server refuses, or visits.
func refusedAt(t *testing.T, visits int, goodbye []byte) int {
	for i := range visits {
		c := dial(t, "3306")
		greeting := make([]byte, 512)
		n, err := c.Read(greeting)
		if err != nil {
			t.Fatal(err)
		}
		if n > 4 && greeting[4] == 0xff {
			c.Close()
			return i
		}
		if _, err := c.Write(goodbye); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	return visits
}

func sshdHearsAnOrderlyEnd(t *testing.T) {
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Skip("openssh-server is not installed")
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "conf"), "ListenAddress "+serverAddr+"\nHostKey "+key+"\nPidFile none\nUsePAM no\n")
	logs := &bytes.Buffer{}
	stop := start(t, logs, sshd, "-D", "-e", "-f", filepath.Join(dir, "conf"))
	c := dial(t, "22")
	if _, err := c.Read(make([]byte, 256)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(Goodbye("ssh", 0)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // until the server has closed
	c.Close()
	stop()
	if got := logs.String(); !strings.Contains(got, "Received disconnect from "+clientAddr) ||
		strings.Contains(got, "kex_exchange_identification") {
		t.Errorf("sshd wrote:\n%s", got)
	}
}

// start runs a server until the test ends or stop is called.
func start(t *testing.T, logs io.Writer, name string, args ...string) (stop func()) {
	t.Helper()
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = logs, logs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = c.Process.Signal(syscall.SIGTERM)
			_ = c.Wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

// dial connects from the client's address, as soon as the server listens.
func dial(t *testing.T, port string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddr)}, Timeout: 5 * time.Second}
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := d.Dial("tcp", net.JoinHostPort(serverAddr, port))
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
