//go:build unix

package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/task"
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

// TestWatchdogIsNotFedForALoopThatHangs: the sensor's own loop comes round, but the
// service manager hears nothing while another one is at one thing for too long. A
// loop that waits for work hangs never, and some things may take longer.
func TestWatchdogIsNotFedForALoopThatHangs(t *testing.T) {
	fed := manager(t)
	t.Setenv("WATCHDOG_USEC", "20000000")
	t.Setenv("WATCHDOG_PID", "")
	for _, tt := range []struct {
		about    string
		patience time.Duration
		work     time.Duration // of the loop, begun at once; 0: it waits
		fed      int           // of 12 calls in a minute
	}{
		{"waits for work", 0, 0, 12},
		{"is at many short things", 0, 9 * time.Second, 12},
		{"hangs after its first interval", 0, time.Hour, 3},
		{"comes round after 32 s", 0, 32 * time.Second, 8},
		{"may take its time", 40 * time.Second, 39 * time.Second, 12},
		{"takes more than that", 40 * time.Second, time.Hour, 9},
	} {
		synctest.Test(t, func(t *testing.T) {
			var loop task.Turn
			d := &daemon{log: slog.New(slog.DiscardHandler)}
			d.beside.Store(&[]part{{name: "idle", busy: new(task.Turn).Busy}, {"loop", loop.Busy, tt.patience}})
			beat := d.watchdog()
			if tt.work > 0 {
				loop.Begin()
				time.AfterFunc(tt.work, loop.End)
			}
			n := 0
			for range 12 {
				beat()
				n += fed()
				time.Sleep(5 * time.Second)
			}
			if n != tt.fed {
				t.Errorf("%s: fed %d times in a minute, want %d", tt.about, n, tt.fed)
			}
			time.Sleep(2 * time.Hour) // timers end within the bubble
		})
	}
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
