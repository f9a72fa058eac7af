//go:build integration

package probebench

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"sonde/probes"
)

// A hostile peer does to each connection what serve says, which ends when the
// connection does. The deadline of the connection is set.
type hostile struct {
	name  string
	port  uint16
	serve func(c *net.TCPConn)
	want  []probes.Outcome // that are true of it; nil: any that has a name
	cert  bool             // its certificate must be among the facts
}

// Budgets of a visit as the defaults of a scan set them, with what a busy
// machine adds to the clock, and one buffer of reading to the bytes.
const (
	maxVisit      = 20*time.Second + 25*time.Second
	maxVisitBytes = 256<<10 + 64<<10
	// maxHostileMiB bounds the process that visits all of them at once: the
	// database takes 30 to 60, 400 visits at 256 KiB and their scratch 100.
	maxHostileMiB = 256
)

// named are all outcomes; a visit ends with one of them.
var named = []probes.Outcome{probes.OutcomeAnswered, probes.OutcomeTCPWrapped, probes.OutcomeRefused,
	probes.OutcomeSilent, probes.OutcomeUnreachable, probes.OutcomeBlocked, probes.OutcomeHeld,
	probes.OutcomeUndecided, probes.OutcomeInconclusive}

// hostileAddr gives an address of the crowd that no other test process uses.
func hostileAddr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(130 + os.Getpid()%100), byte(n >> 8), byte(n)})
}

// TestHostilePeers visits everything that means harm at once. Nothing may
// crash, run out of its budgets, or end without a name.
func TestHostilePeers(t *testing.T) {
	peers := slices.Concat(rudePeers(), resettingPeers(), garblingPeers(t), certificatePeers(t), bannerPeersOf64K())
	var list []job
	byKey := map[key]hostile{}
	for i, p := range peers {
		j := job{Addr: hostileAddr(i + 1), Port: p.port, Transport: probes.TCP}
		serveHostile(t, netip.AddrPortFrom(j.Addr, j.Port), p.serve)
		list = append(list, j)
		byKey[j.key()] = p
	}
	for i, u := range rudeDatagrams() {
		j := job{Addr: hostileAddr(len(peers) + 1 + i), Port: u.port, Transport: probes.UDP}
		serveDatagrams(t, netip.AddrPortFrom(j.Addr, j.Port), u.serve)
		list = append(list, j)
		byKey[j.key()] = hostile{name: u.name}
	}
	var r visitResult
	begin := time.Now()
	start(t, "", "visit", visitSpec{Jobs: list, Parallel: len(list)}, nil).wait(&r)
	for _, rounds := range r.Visits {
		v := rounds[0]
		p := byKey[v.key()]
		took := time.Duration(v.Micros) * time.Microsecond
		t.Logf("%-44s %6.1f s %3d connections %3d probes %7d bytes: %s %s %s %s", p.name, took.Seconds(), v.Cost.Connections,
			v.Cost.Probes, v.Cost.BytesIn+v.Cost.BytesOut, v.Outcome, v.Strength, v.Service, v.Reason)
		if !slices.Contains(named, v.Outcome) || p.want != nil && !slices.Contains(p.want, v.Outcome) {
			t.Errorf("%s: outcome %q, want one of %q", p.name, v.Outcome, p.want)
		}
		if p.cert && !showsCertificate(v.TLS) {
			t.Errorf("%s: no facts of the certificate: %+v", p.name, v.TLS)
		}
		if took > maxVisit {
			t.Errorf("%s: took %v, want at most %v", p.name, took, maxVisit)
		}
		if n := v.Cost.BytesIn + v.Cost.BytesOut; n > maxVisitBytes {
			t.Errorf("%s: moved %d bytes, want at most %d", p.name, n, maxVisitBytes)
		}
	}
	t.Logf("%d hostile peers in %v, %d MiB at most", len(r.Visits), time.Since(begin).Round(time.Second), r.PeakKiB>>10)
	if mib := r.PeakKiB >> 10; mib > maxHostileMiB {
		t.Errorf("%d MiB at most, want %d", mib, maxHostileMiB)
	}
}

// showsCertificate tells whether a certificate was seen, if only its bytes.
func showsCertificate(facts []probes.TLSFacts) bool {
	return slices.ContainsFunc(facts, func(f probes.TLSFacts) bool {
		return f.Certificate != nil && f.Certificate.SHA256 != ""
	})
}

// serveHostile serves until the test ends.
func serveHostile(t *testing.T, at netip.AddrPort, serve func(*net.TCPConn)) {
	t.Helper()
	l, err := net.Listen("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
				serve(c.(*net.TCPConn))
			}()
		}
	}()
}

// rudePeers never end, never answer to the point, or never read.
func rudePeers() []hostile {
	flood := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	forever := func(c net.Conn, piece []byte, pause time.Duration) {
		for {
			if _, err := c.Write(piece); err != nil {
				return
			}
			time.Sleep(pause) // the pace is the purpose
		}
	}
	heard := func(c net.Conn) bool {
		_, err := c.Read(make([]byte, 4096))
		return err == nil
	}
	spoken := []probes.Outcome{probes.OutcomeAnswered, probes.OutcomeInconclusive, probes.OutcomeUndecided}
	return []hostile{
		{"endless data at once", 4711, func(c *net.TCPConn) { forever(c, flood, 0) }, spoken, false},
		{"endless data after a request", 80, func(c *net.TCPConn) {
			if heard(c) {
				forever(c, flood, 0)
			}
		}, spoken, false},
		{"endless lines", 21, func(c *net.TCPConn) { forever(c, []byte("220-more\r\n"), time.Millisecond) }, spoken, false},
		{"endless header", 80, func(c *net.TCPConn) {
			if heard(c) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
				forever(c, []byte("X-More: 1\r\n"), 0)
			}
		}, spoken, false},
		{"one byte per second", 4711, func(c *net.TCPConn) { forever(c, []byte("x"), time.Second) }, spoken, false},
		{"one byte per second after a request", 80, func(c *net.TCPConn) {
			if heard(c) {
				forever(c, []byte("x"), time.Second)
			}
		}, spoken, false},
		{"one byte just before each settling", 25, func(c *net.TCPConn) { forever(c, []byte("2"), 390*time.Millisecond) }, spoken, false},
		{"closes its half at once", 4711, func(c *net.TCPConn) {
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		}, nil, false},
		{"closes its half within a greeting", 22, func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "SSH-2.0-Open")
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		}, spoken, false},
		{"never reads", 4711, func(c *net.TCPConn) {
			_ = c.SetReadBuffer(1)
			time.Sleep(time.Minute)
		}, []probes.Outcome{probes.OutcomeSilent}, false},
		{"echoes everything", 4711, func(c *net.TCPConn) { _, _ = io.Copy(c, c) }, spoken, false},
		{"answers everything alike", 4712, func(c *net.TCPConn) {
			for heard(c) {
				_, _ = io.WriteString(c, "OK\r\n")
			}
		}, spoken, false},
		{"greets with every protocol", 4711, func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "220 SSH-2.0-x\r\n+OK\r\n* OK\r\nRFB 003.008\nHTTP/1.0 200 OK\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}, spoken, false},
		{"length that never comes", 80, func(c *net.TCPConn) {
			if heard(c) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n<")
				_, _ = io.Copy(io.Discard, c)
			}
		}, spoken, false},
		{"chunks without an end", 80, func(c *net.TCPConn) {
			if heard(c) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
				forever(c, []byte("1\r\nx\r\n"), 0)
			}
		}, spoken, false},
	}
}

// resettingPeers reset the connection at each point of a conversation.
func resettingPeers() []hostile {
	reset := func(c *net.TCPConn) { _ = c.SetLinger(0) } // and then it is closed
	var out []hostile
	for _, p := range []struct {
		name          string
		port          uint16
		first, second string // said at once, and after a request
		asked         bool
		want          []probes.Outcome
	}{
		{"at once", 4711, "", "", false, []probes.Outcome{probes.OutcomeTCPWrapped, probes.OutcomeRefused, probes.OutcomeBlocked}},
		{"within a greeting", 22, "SSH-2.0-Op", "", false, nil},
		{"after a greeting", 22, "SSH-2.0-OpenSSH_9.2\r\n", "", false, []probes.Outcome{probes.OutcomeAnswered}},
		{"after a request", 80, "", "", true, nil},
		{"after a greeting and a request", 21, "220 \r\n", "", true, []probes.Outcome{probes.OutcomeAnswered}},
		{"within an answer", 80, "", "HTTP/1.1 200 OK\r\nServer: ng", true, nil},
		{"after an answer", 80, "", "HTTP/1.0 200 OK\r\nServer: nginx\r\n\r\n<html>", true, []probes.Outcome{probes.OutcomeAnswered}},
		{"after a hello", 443, "", "", true, nil},
	} {
		out = append(out, hostile{"resets " + p.name, p.port, func(c *net.TCPConn) {
			defer reset(c)
			_, _ = io.WriteString(c, p.first)
			if p.asked {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, p.second)
			}
			if p.first+p.second != "" {
				time.Sleep(50 * time.Millisecond) // a reset overtakes what was not read yet
			}
		}, p.want, false})
	}
	return out
}

// bannerPeersOf64K greet with 64 KiB of one byte, each of the 256.
func bannerPeersOf64K() []hostile {
	var out []hostile
	for b := range 256 {
		out = append(out, hostile{fmt.Sprintf("64 KiB of %#02x", b), 4711, func(c *net.TCPConn) {
			_, _ = c.Write(bytes.Repeat([]byte{byte(b)}, 64<<10))
			_, _ = io.Copy(io.Discard, c)
		}, []probes.Outcome{probes.OutcomeAnswered, probes.OutcomeInconclusive, probes.OutcomeUndecided}, false})
	}
	return out
}
