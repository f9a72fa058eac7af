//go:build integration

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// TestNmapLoadsExport: nmap takes the exported database for its own and
// identifies servers on loopback by it.
func TestNmapLoadsExport(t *testing.T) {
	nmap, err := exec.LookPath("nmap")
	if err != nil {
		t.Skip("nmap is not installed")
	}
	var out bytes.Buffer
	c := newDatabaseCommand()
	c.SetArgs([]string{"export"})
	c.SetOut(&out)
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sonde.probes")
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	ssh := serveAnswers(t, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "")
	smtp := serveAnswers(t, "220 mail.example.org ESMTP Postfix (Debian/GNU)\r\n", "")
	web := serveAnswers(t, "", "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := exec.CommandContext(ctx, nmap, "-n", "-Pn", "-sT", "-sV", "--versiondb", file,
		"-p", fmt.Sprintf("%d,%d,%d", ssh, smtp, web), "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("nmap: %v\n%s", err, got)
	}
	for port, want := range map[int]string{
		ssh:  `ssh +OpenSSH 9\.2p1 `,
		smtp: `smtp +Postfix smtpd`,
		web:  `http +nginx 1\.22\.1`,
	} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^%d/tcp +open +%s`, port, want)).Match(got) {
			t.Errorf("port %d is not %q in\n%s", port, want, got)
		}
	}
}

// serveAnswers listens on loopback, greets, answers the first request if there
// is an answer, and gives its port. It ends with the test.
func serveAnswers(t *testing.T, greeting, answer string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			c.Write([]byte(greeting))
			if _, err := c.Read(make([]byte, 4096)); err == nil {
				c.Write([]byte(answer))
			}
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}
