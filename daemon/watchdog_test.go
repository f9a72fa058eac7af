//go:build unix

package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// manager is a service manager's socket: it gives how often the watchdog was
// fed since it was last asked.
func manager(t *testing.T) (fed func() int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	in, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	end, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); end.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() int {
		if _, err := end.Write([]byte("end")); err != nil {
			t.Fatal(err)
		}
		for n, buf := 0, make([]byte, 100); ; n++ {
			size, err := in.Read(buf)
			switch text := string(buf[:size]); {
			case err != nil:
				t.Fatal(err)
			case text == "end":
				return n
			case text != "WATCHDOG=1":
				t.Errorf("the service manager is told %q", text)
			}
		}
	}
}

// TestWatchdogIsFedInTime calls beat as the loop does, seldom and often: the
// service manager must hear of us in every interval, and not at every call.
func TestWatchdogIsFedInTime(t *testing.T) {
	fed := manager(t)
	t.Setenv("WATCHDOG_USEC", "20000000")
	t.Setenv("WATCHDOG_PID", "")
	d := &daemon{log: slog.New(slog.DiscardHandler)}
	synctest.Test(t, func(t *testing.T) {
		beat := d.watchdog()
		beat()
		if n := fed(); n != 1 {
			t.Errorf("first call: fed %d times", n)
		}
		for range 1000 { // 4 s
			time.Sleep(4 * time.Millisecond)
			beat()
		}
		if n := fed(); n != 0 {
			t.Errorf("busy loop: fed %d times in 4 s, that is too often", n)
		}
		for range 6 { // the loop's own rhythm, a little early
			time.Sleep(10*time.Second - time.Millisecond)
			beat()
		}
		if n := fed(); n != 6 {
			t.Errorf("idle loop: fed %d times in 60 s, a watchdog of 20 s needs 6", n)
		}
	})
}

func TestNoWatchdog(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "")
	d := &daemon{log: slog.New(slog.DiscardHandler)}
	if d.watchdog() != nil {
		t.Error("a watchdog that nobody wants")
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if d.watchdog() != nil {
		t.Error("a watchdog of an interval that cannot be read")
	}
}
