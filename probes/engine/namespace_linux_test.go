package engine_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
)

const childNamespace = "ENGINE_TEST_NAMESPACE"

// TestPathErrors runs in a network namespace of its own, with a link of its
// own: link-local addresses, neighbours that do not answer, missing routes.
func TestPathErrors(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: a network namespace needs CAP_SYS_ADMIN")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("skipped: iproute2 is not installed")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPathErrorsChild$", "-test.v")
	cmd.Env = append(os.Environ(), childNamespace+"=1")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
}

// TestPacketFilter: what a packet filter refuses is not what TCP refuses,
// though the kernel says ECONNREFUSED to both.
func TestPacketFilter(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: a network namespace needs CAP_SYS_ADMIN")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("skipped: nftables is not installed")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPacketFilterChild$", "-test.v")
	cmd.Env = append(os.Environ(), childNamespace+"=1")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
}

func TestPacketFilterChild(t *testing.T) {
	if os.Getenv(childNamespace) == "" {
		return // not the child
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
	rules := exec.Command("nft", "-f", "-")
	rules.Stdin = strings.NewReader(`table inet t {
	chain in {
		type filter hook input priority 0;
		tcp dport 7 reject with icmpx type port-unreachable
		tcp dport 9 reject with icmpx type admin-prohibited
		tcp dport 13 reject with tcp reset
	}
}
`)
	if out, err := rules.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	h := enginetest.Real(t, openSystem(t, engine.Config{Loops: 1}))
	for _, c := range []struct {
		to         string
		kind, code uint8
	}{
		{"127.0.0.1:7", 3, 3}, {"127.0.0.1:9", 3, 13}, {"127.0.0.1:13", 0, 0}, {"127.0.0.1:17", 0, 0},
		{"[::1]:7", 1, 4}, {"[::1]:9", 1, 1}, {"[::1]:13", 0, 0}, {"[::1]:17", 0, 0},
	} {
		r := end(t, h, engine.Dial{Network: "tcp", Remote: netip.MustParseAddrPort(c.to), Timeout: 10 * time.Second})
		told := &engine.ICMPError{}
		if icmp := errors.As(r.Err, &told); icmp != (c.kind > 0) || told.Type != c.kind || told.Code != c.code {
			t.Errorf("%s: ended by %v, want ICMP type %d code %d", c.to, r.Err, c.kind, c.code)
		}
		if c.code != 13 && c.code != 1 && !errors.Is(r.Err, syscall.ECONNREFUSED) {
			t.Errorf("%s: ended by %v, want a refusal", c.to, r.Err)
		}
	}
}

func TestPathErrorsChild(t *testing.T) {
	if os.Getenv(childNamespace) == "" {
		return // not the child
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "v0", "type", "veth", "peer", "name", "v1"},
		{"addr", "add", "198.18.77.1/24", "dev", "v0"},
		{"addr", "add", "fe80::77/64", "dev", "v0", "nodad"},
		{"link", "set", "v0", "up"},
		{"link", "set", "v1", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	err := os.WriteFile("/proc/sys/net/ipv4/neigh/v0/retrans_time_ms", []byte("50"), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("link-local", linkLocal)
	t.Run("unreachable", unreachable)
}

func linkLocal(t *testing.T) {
	host := netip.MustParseAddr("fe80::77%v0")
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(host, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	port := ln.Addr().(*net.TCPAddr).AddrPort().Port()
	pc, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, port)))
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go func() {
		b := make([]byte, 10)
		for {
			n, from, err := pc.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			pc.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	both(t, func(t *testing.T, h *enginetest.Harness) {
		to := netip.AddrPortFrom(host, port)
		r := end(t, h, engine.Dial{Network: "tcp", Remote: to, Timeout: 5 * time.Second})
		if !errors.Is(r.Err, io.EOF) || string(r.Data) != "hello" || r.From[0] != to {
			t.Errorf("tcp: told %v, %q of %v", r, r.Data, r.From)
		}
		r = &enginetest.Recorder{}
		h.Do(func() {
			r.Open(h.Loop, engine.Dial{Network: "udp", Remote: to})
			r.Conn.Send([]byte("ping"))
		})
		if !h.Wait(func() bool { return r.Has("Received", 1) }) || r.From[0] != to {
			t.Errorf("udp: told %v of %v", r, r.From)
		}
		to = netip.AddrPortFrom(host.WithZone("absent"), port)
		if r = end(t, h, engine.Dial{Network: "tcp", Remote: to, Timeout: time.Second}); len(r.Told) != 1 {
			t.Errorf("absent zone: told %v", r)
		}
	})
}

// unreachable: an error of the path ends a connect, and waits for nothing.
func unreachable(t *testing.T) {
	quiet := netip.MustParseAddrPort("198.18.77.99:7") // no neighbour answers
	beyond := netip.MustParseAddrPort("198.19.0.1:7")  // no route
	no6 := netip.MustParseAddrPort("[2001:db8::1]:7")
	both(t, func(t *testing.T, h *enginetest.Harness) {
		for _, c := range []struct {
			to   netip.AddrPort
			want error
		}{
			{quiet, syscall.EHOSTUNREACH},
			{beyond, syscall.ENETUNREACH},
			{no6, syscall.ENETUNREACH},
		} {
			r := end(t, h, engine.Dial{Network: "tcp", Remote: c.to, Timeout: 10 * time.Second})
			if !errors.Is(r.Err, c.want) || len(r.Told) != 1 {
				t.Errorf("tcp %v: told %v, want %v", c.to, r, c.want)
			}
		}
		r := &enginetest.Recorder{}
		h.Do(func() {
			r.Open(h.Loop, engine.Dial{Network: "udp", Remote: beyond})
			r.Conn.Send([]byte("x"))
		})
		if !h.Wait(func() bool { return r.Has("Ended", 1) }) || !errors.Is(r.Err, syscall.ENETUNREACH) {
			t.Errorf("udp %v: told %v", beyond, r)
		}
		if s := h.Stats(); s.Ports+s.Files+s.Buffers > 0 || s.Capacity != s.Limit {
			t.Errorf("an error of the path was taken for want: %+v", s)
		}
		if h.Rejects {
			rejectedByNeighbour(t, h, quiet)
		}
	})
}

func rejectedByNeighbour(t *testing.T, h *enginetest.Harness, to netip.AddrPort) {
	r := &enginetest.Recorder{}
	h.Do(func() {
		r.Open(h.Loop, engine.Dial{Network: "udp", Remote: to})
		r.Conn.Send([]byte("x"))
	})
	if !h.Wait(func() bool { return r.Has("Rejected", 1) }) ||
		!errors.Is(r.Rejects[0], syscall.EHOSTUNREACH) || r.RejectTo[0] != to {
		t.Errorf("udp: told %v, %v", r, r.Rejects)
	}
}

// both runs a test on both engines.
func both(t *testing.T, run func(t *testing.T, h *enginetest.Harness)) {
	t.Run("system", func(t *testing.T) {
		h := enginetest.Real(t, openSystem(t, engine.Config{Loops: 1}))
		h.Rejects = true
		run(t, h)
	})
	t.Run("net", func(t *testing.T) {
		run(t, enginetest.Real(t, openNet(t, engine.Config{Loops: 1})))
	})
}

// end opens a connection and waits for its end.
func end(t *testing.T, h *enginetest.Harness, d engine.Dial) *enginetest.Recorder {
	t.Helper()
	r := &enginetest.Recorder{}
	h.Do(func() { r.Open(h.Loop, d) })
	if !h.Wait(func() bool { return r.Has("Ended", 1) }) {
		t.Fatalf("%v: no end, told %v", d.Remote, r)
	}
	return r
}

// TestResetRightAfterTheGreeting: a server that says why it does not want us,
// and resets, was open and is heard.
func TestResetRightAfterTheGreeting(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, enginetest.Greeting)
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	to := netip.MustParseAddrPort(ln.Addr().String())
	h := enginetest.Real(t, openSystem(t, engine.Config{Loops: 1}))
	recorders := make([]enginetest.Recorder, 100)
	h.Do(func() {
		for i := range recorders {
			recorders[i].Open(h.Loop, engine.Dial{Network: "tcp", Remote: to, Timeout: 5 * time.Second})
		}
		time.Sleep(20 * time.Millisecond) // so that the resets come first
	})
	for i := range recorders {
		r := &recorders[i]
		if !h.Wait(func() bool { return r.Has("Ended", 1) }) {
			t.Fatalf("told %v", r)
		}
		if !errors.Is(r.Err, syscall.ECONNRESET) || string(r.Data) != enginetest.Greeting {
			t.Errorf("told %v, %q", r, r.Data)
		}
	}
}
