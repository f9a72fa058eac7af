//go:build linux

package systemd

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager listens like a service manager and gives what the next datagram
// says.
func manager(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		buf := make([]byte, 4096)
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestMessages(t *testing.T) {
	next := manager(t)
	for _, tt := range []struct {
		name string
		call func() error
		want string
	}{
		{"Ready", Ready, "READY=1"},
		{"Stopping", Stopping, "STOPPING=1"},
		{"Alive", Alive, "WATCHDOG=1"},
		{"Status", func() error { return Status("watching 3 hosts") }, "STATUS=watching 3 hosts"},
		{"Status of two lines", func() error { return Status("a\nREADY=1\x00") }, "STATUS=a READY=1 "},
	} {
		if err := tt.call(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := next(); got != tt.want {
			t.Errorf("%s sends %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestReloadingHasTime(t *testing.T) {
	next := manager(t)
	if err := Reloading(); err != nil {
		t.Fatal(err)
	}
	state, usec, ok := strings.Cut(next(), "\nMONOTONIC_USEC=")
	if state != "RELOADING=1" {
		t.Errorf("state %q", state)
	}
	if n, err := strconv.ParseInt(usec, 10, 64); runtime.GOOS == "linux" && (!ok || err != nil || n <= 0) {
		t.Errorf("time %q: %v", usec, err)
	}
}

func TestWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	for _, call := range []func() error{Ready, Reloading, Stopping, Alive, func() error { return Status("x") }} {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	if d, err := WatchdogInterval(); d != 0 || err != nil {
		t.Errorf("WatchdogInterval = %s, %v", d, err)
	}
}

func TestManagerIsGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := Ready(); err == nil || !strings.HasPrefix(err.Error(), "notify the service manager READY: ") {
		t.Errorf("error %v", err)
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
		bad       bool
	}{
		{"30000000", "", 15 * time.Second, false},
		{"30000000", strconv.Itoa(os.Getpid()), 15 * time.Second, false},
		{"30000000", "1", 0, false}, // meant for another process
		{"soon", "", 0, true},
	} {
		t.Setenv("WATCHDOG_USEC", tt.usec)
		t.Setenv("WATCHDOG_PID", tt.pid)
		got, err := WatchdogInterval()
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("USEC=%s PID=%s: %s, %v; want %s", tt.usec, tt.pid, got, err, tt.want)
		}
	}
}
