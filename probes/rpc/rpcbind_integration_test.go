//go:build (integration || lab) && linux

package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sonde/probes"
)

// TestRealServers asks a real rpcbind and a real rpc.statd, in a network
// namespace of their own, for their lists, and grinds their ports.
func TestRealServers(t *testing.T) {
	ns := startBox(t, `
		mount -t tmpfs tmpfs /run && mkdir /run/rpcbind /run/sendsigs.omit.d
		mount -t tmpfs tmpfs /var/lib/nfs && mkdir /var/lib/nfs/sm /var/lib/nfs/sm.bak
		ip link set lo up
		rpcbind -w
		rpc.statd --no-notify --port 4000
		echo ready
		exec sleep 1000`, "ip", "rpcbind", "rpc.statd")
	for _, transport := range []probes.Transport{probes.TCP, probes.UDP} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			l := NewLister(Settings{Transport: transport, XID: 0xfffffffe})
			calls := drive(t, ns, transport, net.JoinHostPort(host, "111"), l)
			list := l.Result()
			t.Logf("%s %s: %d calls, %q, versions %v, %+v", transport, host, calls, list.Reason, list.Versions, list.Facts())
			want := "[{100000 portmapper 2 4} {100024 status 1 1}]"
			if got := fmt.Sprint(list.Facts()); got != want || list.Reason != "listed" {
				t.Errorf("%s %s: %s, want %s; %+v", transport, host, got, want, list)
			}
			for _, port := range []uint16{111, 4000} {
				p, ok := list.Find(transport, port)
				if !ok {
					t.Errorf("%s %s: no program at port %d: %+v", transport, host, port, list.Programs)
					continue
				}
				g := NewGrind(Names().Numbers(), Settings{Transport: transport, XID: 7})
				calls := drive(t, ns, transport, net.JoinHostPort(host, fmt.Sprint(port)), g)
				res := g.Result()
				if got := fmt.Sprint(res.Found); got != fmt.Sprintf("[{%d %s %d %d}]", p.Program, p.Name, p.Low, p.High) || !res.Confirmed {
					t.Errorf("%s %s port %d: listed %+v, ground %+v", transport, host, port, p, res)
				}
				t.Logf("%s %s port %d: %d calls, %+v", transport, host, port, calls, res)
			}
			// A server of programs that nobody asks for answers all the table.
			g := NewGrind(Names().Numbers(), Settings{Transport: transport, XID: 7})
			g.numbers = append(g.numbers[:1], without(g.numbers[1:], 100024)...)
			start := time.Now()
			calls = drive(t, ns, transport, net.JoinHostPort(host, "4000"), g)
			if res := g.Result(); res.Reason != "no known program" || res.Lost > 0 {
				t.Errorf("%s %s, unknown program: %+v", transport, host, res)
			}
			t.Logf("%s %s: the whole table in %d calls, %v", transport, host, calls, time.Since(start).Round(time.Millisecond))
		}
	}
}

func without(numbers []uint32, n uint32) (rest []uint32) {
	for _, m := range numbers {
		if m != n {
			rest = append(rest, m)
		}
	}
	return rest
}

// drive connects a conversation to a server, and gives the number of calls.
func drive(t *testing.T, ns string, transport probes.Transport, to string, c talk) (calls int) {
	t.Helper()
	conn, err := dialIn(ns, string(transport), to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 65536)
	for !c.Done() {
		for send, ok := c.Next(); ok; send, ok = c.Next() {
			calls++
			if _, err := conn.Write(send); err != nil {
				t.Fatalf("%s %s: %v", transport, to, err)
			}
		}
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := conn.Read(buf)
		switch {
		case err == nil:
			c.Received(buf[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.Lapsed()
		default:
			conn.Close()
			if conn, err = dialIn(ns, string(transport), to); err != nil {
				t.Fatal(err)
			}
			c.Reopened()
		}
	}
	return calls
}

// startBox runs a shell script in namespaces of its own, waits for its "ready",
// and gives the network namespace. It ends with the test. needs are the programs
// without which the test is skipped.
func startBox(t *testing.T, script string, needs ...string) (ns string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root (CAP_SYS_ADMIN) for namespaces")
	}
	for _, name := range needs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s", name)
		}
	}
	cmd := exec.Command("sh", "-ec", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Cloneflags:   unix.CLONE_NEWPID, // so that all of it ends with the shell
		Pdeathsig:    syscall.SIGKILL,
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started, over := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the death signal follows the thread, not the process
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-over
	}()
	if err := <-started; err != nil {
		close(over)
		t.Fatalf("start a box: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		close(over)
	})
	line := make([]byte, 64)
	n, _ := out.Read(line)
	if !strings.HasPrefix(string(line[:n]), "ready") {
		t.Fatalf("the box is not ready: %q, %s", line[:n], stderr.String())
	}
	return fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)
}

// dialIn connects from inside a network namespace.
func dialIn(name, network, to string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends, as it is elsewhere
		ns, e := os.Open(name)
		if e != nil {
			err = e
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			conn, err = net.Dial(network, to)
		}
	}()
	<-done
	return conn, err
}
