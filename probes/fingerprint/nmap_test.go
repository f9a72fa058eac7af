//go:build integration

package fingerprint

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// TestBesideNmap has nmap ask servers of the test's own on loopback, and
// writes the same answers. Only the header's values are taken over.
func TestBesideNmap(t *testing.T) {
	nmap, err := exec.LookPath("nmap")
	if err != nil {
		t.Skip("nmap is not installed")
	}
	for _, c := range []struct {
		name         string
		first, reply string
	}{
		{"every kind of byte", string(banner()), "E 1 " + string(reply()[100:400])},
		{"many answers", strings.Repeat("qzj", 170), ""},
		{"a long greeting", "Frob " + strings.Repeat("\x81z", 700), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port := serve(t, c.first, c.reply)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, nmap, "-n", "-Pn", "-sV", "-p", strconv.Itoa(port), "127.0.0.1").Output()
			if err != nil {
				t.Fatal(err)
			}
			want, header := parseNmap(t, string(out))
			got := New(header)
			for _, m := range regexp.MustCompile(`%r\(([A-Za-z0-9-]+),`).FindAllStringSubmatch(strings.ReplaceAll(want, "\nSF:", ""), -1) {
				data := c.first
				if m[1] != "NULL" {
					data += c.reply
				}
				got.Add(answer(m[1], []byte(data)))
			}
			got.Add(answer("OneMore", []byte("past the limit")))
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("(-nmap +ours):\n%s", diff)
			}
		})
	}
}

// parseNmap gives the fingerprint of nmap's output and what its header says.
func parseNmap(t *testing.T, out string) (string, Header) {
	t.Helper()
	text := regexp.MustCompile(`(?s)SF-Port.*?"\);`).FindString(out)
	var h Header
	var month, day int
	var at int64
	head, _, _ := strings.Cut(strings.ReplaceAll(text, "\nSF:", ""), "%r(")
	m := regexp.MustCompile(`^SF-Port(\d+)-TCP:V=([^%]+)%I=(\d)%D=(\d+)/(\d+)%Time=([0-9A-F]+)%P=([^%]+)$`).FindStringSubmatch(head)
	if m == nil {
		t.Fatalf("nmap gave no fingerprint:\n%s", out)
	}
	port, _ := strconv.Atoi(m[1])
	h.Port, h.Transport, h.Version, h.Platform = uint16(port), probes.TCP, m[2], m[7]
	h.Intensity, _ = strconv.Atoi(m[3])
	month, _ = strconv.Atoi(m[4])
	day, _ = strconv.Atoi(m[5])
	at, _ = strconv.ParseInt(m[6], 16, 64)
	h.Time = time.Unix(at, 0) // nmap's date is local too
	if int(h.Time.Month()) != month || h.Time.Day() != day {
		t.Fatalf("date %d/%d beside %v", month, day, h.Time)
	}
	return text, h
}

// serve greets each client, and closes after a reply to its first words.
func serve(t *testing.T, first, reply string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				if _, err := fmt.Fprint(c, first); err != nil {
					return
				}
				if _, err := c.Read(make([]byte, 4096)); err == nil {
					fmt.Fprint(c, reply)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}
