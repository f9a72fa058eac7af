package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
)

// The tests of want run in processes of their own, as limits are a process's,
// and ports a network namespace's.
const (
	childEngine = "ENGINE_TEST_ENGINE" // system or net
	childLimit  = "ENGINE_TEST_LIMIT"  // files, tcp-ports or udp-ports
	childPeer   = "ENGINE_TEST_PEER"   // the parent's: short of files, no peer could accept
)

// An exhaustion is what the child found.
type exhaustion struct {
	Ends     map[string]int // how the connections ended
	Waited   int            // at most at once
	Last     engine.Stats
	Warnings int
	Files    int // descriptors more than before
}

func TestNoEndpointIsLost(t *testing.T) {
	for _, limit := range []string{"files", "tcp-ports", "udp-ports"} {
		for _, which := range []string{"system", "net"} {
			t.Run(limit+"/"+which, func(t *testing.T) {
				if limit != "files" && os.Getuid() != 0 {
					t.Skip("skipped: a network namespace needs CAP_SYS_ADMIN")
				}
				checkExhaustion(t, limit, runChild(t, limit, which))
			})
		}
	}
}

func runChild(t *testing.T, limit, which string) exhaustion {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestExhaustionChild$", "-test.v")
	cmd.Env = append(os.Environ(), childEngine+"="+which, childLimit+"="+limit)
	if limit == "files" {
		cmd.Env = append(cmd.Env, childPeer+"="+greeter(t, "tcp").String())
	} else {
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	_, found, ok := bytes.Cut(out, []byte("found: "))
	var e exhaustion
	if err := json.NewDecoder(bytes.NewReader(found)).Decode(&e); !ok || err != nil {
		t.Fatalf("child says %v\n%s", err, out)
	}
	return e
}

const exhaustConns = 200

func checkExhaustion(t *testing.T, limit string, e exhaustion) {
	t.Helper()
	if len(e.Ends) != 1 || e.Ends["EOF"] != exhaustConns {
		t.Errorf("connections ended as %v, want %d times EOF", e.Ends, exhaustConns)
	}
	short, capacity := e.Last.Files, e.Last.Capacity < e.Last.Limit
	if limit != "files" {
		short, capacity = e.Last.Ports, e.Last.Capacity == e.Last.Limit
	}
	if short == 0 || !capacity {
		t.Errorf("shortage is not counted, or the capacity is wrong: %+v", e.Last)
	}
	if e.Waited == 0 || e.Last.Waiting != 0 || e.Last.Open != 0 {
		t.Errorf("%d waited at most, in the end %+v", e.Waited, e.Last)
	}
	if e.Warnings != 1 {
		t.Errorf("%d warnings, want 1", e.Warnings)
	}
	if e.Files > 0 {
		t.Errorf("%d descriptors are left open", e.Files)
	}
}

func TestExhaustionChild(t *testing.T) {
	which, limit := os.Getenv(childEngine), os.Getenv(childLimit)
	if which == "" {
		return // not the child
	}
	network := "tcp"
	if limit == "udp-ports" {
		network = "udp"
	}
	var to netip.AddrPort
	if limit == "files" {
		to = netip.MustParseAddrPort(os.Getenv(childPeer))
	} else {
		loopbackUp(t)
		err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("32768 32799"), 0)
		if err != nil {
			t.Fatal(err)
		}
		to = greeter(t, network)
	}
	// Go's own epoll instance must not count as ours.
	if c, err := net.ListenPacket("udp", "127.0.0.1:0"); err == nil {
		c.Close()
	}
	before := openFiles(t)
	warnings := &countWarnings{}
	cfg := engine.Config{Loops: 2, MaxSockets: 1000, Log: slog.New(slog.NewTextHandler(warnings, nil))}
	e := openSystem(t, cfg)
	if which == "net" {
		e.Close()
		e = openNet(t, cfg)
	}
	defer e.Close()
	if limit == "files" {
		starve(t, 40)
	}
	found := exhaustion{Ends: map[string]int{}}
	openAll(e, network, to, &found)
	e.Close()
	found.Last, found.Warnings = e.Stats(), warnings.n
	found.Files = openFiles(t) - before
	b, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("found: %s\n", b)
}

// openAll opens more than there is room for at once, and waits for all.
func openAll(e *engine.Engine, network string, to netip.AddrPort, found *exhaustion) {
	var mu sync.Mutex
	var ended sync.WaitGroup
	ended.Add(exhaustConns)
	count := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		found.Ends[err.Error()]++
		found.Waited = max(found.Waited, e.Stats().Waiting)
		ended.Done()
	}
	for _, l := range e.Loops() {
		l.Post(func() {
			for range exhaustConns / len(e.Loops()) {
				r := &enginetest.Recorder{OnEnded: count}
				r.OnReceived = func([]byte) {
					if network == "udp" {
						r.Conn.Close()
						count(io.EOF)
					}
				}
				r.Open(l, engine.Dial{Network: network, Remote: to, Timeout: 20 * time.Second})
				if network == "udp" {
					r.Conn.Send([]byte("x"))
				}
			}
		})
	}
	ended.Wait()
}

// greeter answers from this process; a TCP peer holds each connection for a
// moment, and closes first, so that no port of ours stays in TIME-WAIT.
func greeter(t *testing.T, network string) netip.AddrPort {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			b := make([]byte, 10)
			for {
				n, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				c.WriteTo(b[:n], from)
			}
		}()
		return netip.MustParseAddrPort(c.LocalAddr().String())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
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
	return netip.MustParseAddrPort(ln.Addr().String())
}

// loopbackUp brings up lo of a namespace of our own.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Fatal(err)
	}
}

// starve leaves this process so many descriptors.
func starve(t *testing.T, files int) {
	t.Helper()
	n := uint64(openFiles(t) + files)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
		t.Fatal(err)
	}
}

// openFiles counts our descriptors, but for the one that reads the list.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list) - 1
}

// countWarnings is a log that counts.
type countWarnings struct {
	mu sync.Mutex
	n  int
}

func (c *countWarnings) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "level=WARN") {
		c.mu.Lock()
		c.n++
		c.mu.Unlock()
	}
	return len(b), nil
}
