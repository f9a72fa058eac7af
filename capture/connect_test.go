//go:build unix

package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopbacks are the addresses that the tests may use here.
func loopbacks(t *testing.T) []netip.Addr {
	t.Helper()
	out := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("IPv6 is left out: no ::1 on this machine: %v", err)
		return out
	}
	l.Close()
	return append(out, netip.IPv6Loopback())
}

func listen(t *testing.T, a netip.Addr) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// closedPort gives a port on which nobody listens: it is bound, not
// listened on, until the test ends.
func closedPort(t *testing.T, a netip.Addr) netip.AddrPort {
	t.Helper()
	fam, sa := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if a.Is6() {
		fam, sa = syscall.AF_INET6, &syscall.SockaddrInet6{Addr: a.As16()}
	}
	fd, err := syscall.Socket(fam, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(a, boundPort(t, fd))
}

func boundPort(t *testing.T, fd int) uint16 {
	t.Helper()
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return uint16(sa.Port)
	case *syscall.SockaddrInet6:
		return uint16(sa.Port)
	}
	t.Fatalf("socket name %T", sa)
	return 0
}

// silentPort listens without ever accepting and with a full backlog, so that
// Linux drops further SYNs.
func silentPort(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), boundPort(t, fd))
	for range 8 {
		c, err := net.DialTimeout("tcp", to.String(), 200*time.Millisecond)
		if err != nil {
			return to
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("skipped: this system accepts connections beyond a listener's backlog")
	return to
}

func collect(t *testing.T, cfg Config, targets ...Target) (map[Target]Reply, Stats) {
	t.Helper()
	got := map[Target]Reply{}
	var inside atomic.Int32
	stats, err := NewConnect(cfg).Look(context.Background(), slices.Values(targets), func(r Reply) {
		if inside.Add(1) != 1 {
			t.Error("two calls of yield overlap")
		}
		k := Target{r.Addr, r.Network}
		if _, twice := got[k]; twice {
			t.Errorf("two replies from %v", k)
		}
		if r.At.IsZero() {
			t.Errorf("reply of %v has no time", k)
		}
		got[k] = r
		inside.Add(-1)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(targets) || stats.Targets != uint64(len(targets)) {
		t.Errorf("%d targets, %d replies, stats %+v", len(targets), len(got), stats)
	}
	return got, stats
}

func TestTCP(t *testing.T) {
	for _, a := range loopbacks(t) {
		open, closed := Target{listen(t, a), TCP}, Target{closedPort(t, a), TCP}
		got, stats := collect(t, Config{}, open, closed)
		if r := got[open]; r.Kind != Accepted || r.Reason != "syn-ack" {
			t.Errorf("open port: %+v", r)
		}
		if r := got[closed]; r.Kind != Refused || r.Reason != "conn-refused" {
			t.Errorf("closed port: %+v", r)
		}
		want := Stats{Targets: 2, Tries: 2, Accepted: 1, Refused: 1}
		if stats != want {
			t.Errorf("stats %+v, want %+v", stats, want)
		}
	}
}

func TestSilenceIsTriedAgain(t *testing.T) {
	silent := Target{silentPort(t), TCP}
	waits := 0
	got, stats := collect(t, Config{Timeout: 50 * time.Millisecond, Tries: 3, RetryDelay: time.Millisecond,
		Wait: func(context.Context, netip.Addr) error { waits++; return nil }}, silent)
	if r := got[silent]; r.Kind != Silent || r.Reason != "no-response" {
		t.Errorf("silent port: %+v", r)
	}
	if want := (Stats{Targets: 1, Tries: 3, Silent: 1}); stats != want || waits != 3 {
		t.Errorf("stats %+v after %d waits, want %+v after 3", stats, waits, want)
	}
}

// udpServer answers each datagram equal to ask with reply, and no other.
func udpServer(t *testing.T, a netip.Addr, ask, reply string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if string(buf[:n]) == ask {
				c.WriteToUDPAddrPort([]byte(reply), from)
			}
		}
	})
	t.Cleanup(func() { c.Close(); done.Wait() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestUDP(t *testing.T) {
	for _, a := range loopbacks(t) {
		answers := Target{udpServer(t, a, "hello", "world"), UDP}
		empty := Target{udpServer(t, a, "hello", ""), UDP}
		silent := Target{udpServer(t, a, "other", "x"), UDP}
		gone, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		if err != nil {
			t.Fatal(err)
		}
		closed := Target{gone.LocalAddr().(*net.UDPAddr).AddrPort(), UDP}
		gone.Close()
		payloads := func(port uint16) [][]byte { return [][]byte{[]byte("first"), []byte("hello")} }
		got, stats := collect(t, Config{Timeout: 50 * time.Millisecond, Payloads: payloads}, answers, empty, silent, closed)
		if r := got[answers]; r.Kind != Answered || string(r.Payload) != "world" || string(r.Sent) != "hello" {
			t.Errorf("answering port: %+v", r)
		}
		if r := got[empty]; r.Kind != Answered || len(r.Payload) != 0 {
			t.Errorf("port with an empty answer: %+v", r)
		}
		if r := got[silent]; r.Kind != Silent {
			t.Errorf("silent port: %+v", r)
		}
		if r := got[closed]; r.Kind != Refused || r.Reason != "port-unreach" {
			t.Errorf("closed port: %+v", r)
		}
		want := Stats{Targets: 4, Tries: 2 + 2 + 4 + 1, Answered: 2, Silent: 1, Refused: 1}
		if stats != want {
			t.Errorf("stats %+v, want %+v", stats, want)
		}
	}
}

func TestUDPWithoutPayloadSendsEmpty(t *testing.T) {
	a := netip.MustParseAddr("127.0.0.1")
	got, _ := collect(t, Config{}, Target{udpServer(t, a, "", "x"), UDP})
	for _, r := range got {
		if r.Kind != Answered || !bytes.Equal(r.Payload, []byte("x")) {
			t.Errorf("reply %+v", r)
		}
	}
}

// Over thousands of ports exactly the listeners are found.
func TestManyPorts(t *testing.T) {
	addrs := fixed(loopbacks(t))
	want := map[netip.AddrPort]bool{}
	for _, a := range addrs {
		for range 20 {
			want[listen(t, a)] = true
		}
	}
	var ports []uint16
	for p := 40000; p < 44000; p++ {
		ports = append(ports, uint16(p))
	}
	for ap := range want {
		// Both families may have given the same port.
		if (ap.Port() < 40000 || ap.Port() >= 44000) && !slices.Contains(ports, ap.Port()) {
			ports = append(ports, ap.Port())
		}
	}
	plan := Plan{Network: TCP, Addrs: addrs, Ports: ports, Seed: 7}
	var replies int
	missing := len(want)
	stats, err := NewConnect(Config{Concurrency: 64}).Sweep(context.Background(), plan, func(r Reply) {
		replies++
		if want[r.Addr] {
			missing--
			if r.Kind != Accepted {
				t.Errorf("listener %s: %+v", r.Addr, r)
			}
		}
	})
	if err != nil || missing != 0 || replies != len(ports)*len(addrs) || stats.Degraded {
		t.Errorf("%d listeners missing, %d replies, stats %+v, error %v", missing, replies, stats, err)
	}
}

// With hardly any file descriptors every target still gets its true reply.
func TestStarvedOfDescriptors(t *testing.T) {
	a := netip.MustParseAddr("127.0.0.1")
	open := Target{listen(t, a), TCP}
	silent := silentPort(t)
	targets := []Target{open}
	for range 60 { // silent ones hold their descriptors for the whole timeout
		targets = append(targets, Target{netip.AddrPortFrom(a, silent.Port()), TCP})
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	low := before
	limitTo(&low.Cur, nextFD(t)+4)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)
	count := map[Kind]int{}
	cfg := Config{Timeout: 30 * time.Millisecond, Tries: 1}
	stats, err := NewConnect(cfg).Look(context.Background(), slices.Values(targets), func(r Reply) { count[r.Kind]++ })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[Kind]int{Accepted: 1, Silent: 60}, count); diff != "" {
		t.Error(diff)
	}
	if stats.Starved == 0 || stats.Degraded {
		t.Errorf("stats %+v: nobody starved, or something was not tried", stats)
	}
}

// nextFD is the lowest free descriptor.
// limitTo sets a limit, which is signed on some systems.
func limitTo[T int64 | uint64](limit *T, n uint64) { *limit = T(n) }

func nextFD(t *testing.T) uint64 {
	t.Helper()
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return uint64(f.Fd())
}

// forever yields one target without end.
func forever(t Target) iter.Seq[Target] {
	return func(yield func(Target) bool) {
		for yield(t) {
		}
	}
}

func TestCancel(t *testing.T) {
	silent := Target{silentPort(t), TCP}
	ctx, cancel := context.WithCancel(context.Background())
	started := make(chan struct{}, 1)
	cfg := Config{Timeout: time.Hour, Concurrency: 8, Wait: func(context.Context, netip.Addr) error {
		select {
		case started <- struct{}{}:
		default:
		}
		return nil
	}}
	go func() { <-started; cancel() }()
	_, err := NewConnect(cfg).Look(ctx, forever(silent), func(r Reply) { t.Errorf("reply %+v", r) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestWaitErrorEndsSweep(t *testing.T) {
	stop := errors.New("no more")
	cfg := Config{Wait: func(context.Context, netip.Addr) error { return stop }}
	_, err := NewConnect(cfg).Look(context.Background(), forever(Target{netip.MustParseAddrPort("127.0.0.1:9"), TCP}),
		func(r Reply) { t.Errorf("reply %+v", r) })
	if !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

func TestSelfConnectIsSeen(t *testing.T) {
	ap := closedPort(t, netip.MustParseAddr("127.0.0.1"))
	free := ap.Port() + 1
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(free)}}
	c, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", free))
	if err != nil {
		t.Skipf("skipped: no self-connect on this system: %v", err)
	}
	defer c.Close()
	if !isSelf(c) {
		t.Errorf("%s is connected to %s, but not seen as itself", c.LocalAddr(), c.RemoteAddr())
	}
}

func TestClassify(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:9")
	for _, tt := range []struct {
		errno  syscall.Errno
		kind   Kind // "": starved
		reason string
	}{
		{syscall.ECONNREFUSED, Refused, "conn-refused"},
		{syscall.ETIMEDOUT, Silent, "no-response"},
		{syscall.EHOSTUNREACH, Unreachable, "host-unreach"},
		{syscall.ENETUNREACH, Unreachable, "net-unreach"},
		{syscall.EMFILE, "", ""},
		{syscall.ENOBUFS, "", ""},
		{syscall.EADDRNOTAVAIL, "", ""}, // loopback has a route, so ports are short
		{syscall.EPERM, Unreachable, "not-tried: operation not permitted"},
	} {
		p := prober{sweep: &sweep{}}
		r, err := p.classify(context.Background(), to,
			&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", tt.errno)}, time.Now(), "conn-refused")
		if starved := errors.Is(err, errStarved); starved != (tt.kind == "") || r.Kind != tt.kind || !strings.HasPrefix(r.Reason, tt.reason) {
			t.Errorf("%v: %+v, %v", tt.errno, r, err)
		}
	}
}

// A shortage that no try of the sweep outlives is told, not waited for until
// the end of time; and with progress elsewhere nobody gives up.
func TestStarvedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := prober{sweep: &sweep{Config: NewConnect(Config{}).cfg, freed: make(chan struct{}, 1)}}
		p.Wait = func(context.Context, netip.Addr) error {
			if time.Since(began) < time.Hour {
				p.last.Store(time.Now().UnixNano()) // another try gets through
			}
			return fmt.Errorf("%w: %w", errStarved, syscall.EMFILE)
		}
		var cost tally
		r, err := p.patient(t.Context(), Target{netip.MustParseAddrPort("127.0.0.1:9"), TCP}, &cost)
		if err != nil || r.Kind != Unreachable || r.Reason != "not-tried: too many open files" {
			t.Errorf("reply %+v, error %v", r, err)
		}
		if d := time.Since(began); d < time.Hour+starveTotal-starveMax || d > time.Hour+2*starveTotal {
			t.Errorf("given up after %s", d)
		}
	})
}

func TestRaiseFileLimit(t *testing.T) {
	n, err := RaiseFileLimit()
	if err != nil || n < 64 {
		t.Errorf("limit %d, error %v", n, err)
	}
}
