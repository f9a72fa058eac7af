//go:build integration && linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

// A clockwork is what a daemon that was built for a test reads its clocks by: how
// far the wall clock was set, and how long the machine has slept. Neither shows
// in Go's monotonic reading, as on a real machine.
type clockwork struct {
	t    *testing.T
	file string
	args []string // of the compiler
}

// turner follows the file that SONDE_TURN names: the seconds by which the wall
// clock is ahead, and those that the machine has slept.
const turner = `package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

var slept atomic.Int64

func init() {
	go func() {
		for ; ; time.Sleep(time.Millisecond) {
			var set, asleep int64
			text, _ := os.ReadFile(os.Getenv("SONDE_TURN"))
			if n, _ := fmt.Sscan(string(text), &set, &asleep); n == 2 && (set != time.Turned || asleep != slept.Load()) {
				slept.Store(asleep)
				time.Turned = set
			}
		}
	}()
}
`

// newClockwork has the compiler take other sources for the two places where the
// program's clocks are read: time.Now, and the time since the machine started.
// So all of the program sees what a machine would show it whose clock is set.
func newClockwork(t *testing.T) *clockwork {
	t.Helper()
	dir := t.TempDir()
	c := &clockwork{t: t, file: filepath.Join(dir, "turn")}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	patch := func(path, old, text string) string {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(source), old) != 1 {
			t.Fatalf("%s: %q is not there once", path, old)
		}
		return write("patched_"+filepath.Base(path), strings.Replace(string(source), old, text, 1))
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	boot := filepath.Join(here, "elapsed_linux.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		std: patch(std, "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n",
			"var Turned int64\n\nfunc Now() Time {\n\tsec, nsec, mono := runtimeNow()\n\tsec += Turned\n"),
		boot:                             patch(boot, "time.Duration(t.Nano())", "time.Duration(t.Nano()) + time.Duration(slept.Load())*time.Second"),
		filepath.Join(here, "turner.go"): write("turner.go", turner),
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.args = []string{"-overlay", write("overlay.json", string(overlay))}
	c.turn(0, 0)
	t.Setenv("SONDE_TURN", c.file)
	return c
}

// turn sets the wall clock this much from the true one, of a machine that has
// slept so long.
func (c *clockwork) turn(set, slept time.Duration) {
	c.t.Helper()
	text := fmt.Sprintf("%d %d\n", int64(set.Seconds()), int64(slept.Seconds()))
	if err := os.WriteFile(c.file+".new", []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(c.file+".new", c.file); err != nil { // so that it is never half there
		c.t.Fatal(err)
	}
}

// TestClockIsSet: back an hour, forward a day, and sleep: each is in the log, no
// promise is broken by it, and what changes afterwards is told soon, once, by the
// wall clock as it is then. Nothing else is told.
func TestClockIsSet(t *testing.T) {
	c := newClockwork(t)
	s := newSufferer(t, t.TempDir(), 6, "", c.args...)
	s.becomes("9.2p1")

	c.turn(-time.Hour, 0)
	s.awaitLog(`msg="the clock was set" by=-1h`)
	s.becomes("9.3p1")
	c.turn(24*time.Hour, 0)
	s.awaitLog(`msg="the clock was set" by=25h`)
	s.becomes("9.4p1")
	c.turn(32*time.Hour, 8*time.Hour)
	s.awaitLog(`msg="the machine slept" for=8h`)
	s.becomes("9.5p1")
	c.turn(8*time.Hour, 8*time.Hour) // set right again
	s.awaitLog(`msg="the clock was set" by=-24h`)
	s.becomes("9.6p1")
	versions := []string{"9.2p1", "9.3p1", "9.4p1", "9.5p1", "9.6p1"}
	s.end(versions...)

	ahead := map[string]time.Duration{"9.3p1": -time.Hour, "9.4p1": 24 * time.Hour, "9.5p1": 32 * time.Hour, "9.6p1": 8 * time.Hour}
	for _, e := range s.told() {
		switch e.Action {
		case event.SensorStarted, event.SensorStopped, event.SensorHeartbeat, event.WatchBaselined, event.ServiceBaseline:
		case event.ServiceChanged:
			want := time.Now().Add(ahead[e.Endpoint.Version])
			if d := want.Sub(e.Timestamp); d < 0 || d > 10*time.Minute {
				t.Errorf("%s is told as of %v, which is %v before its time", e.Endpoint.Version, e.Timestamp, d)
			}
			if d := e.Timestamp.Sub(e.ObservedAt); d < 0 || d > time.Minute {
				t.Errorf("%s was decided %v after it was seen", e.Endpoint.Version, d)
			}
		default:
			t.Errorf("told %s: %s", e.Action, e.Message)
		}
	}
}

// told gives the events of the event file.
func (s *sufferer) told() (list []event.Event) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "events.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var e event.Event
		if json.Unmarshal([]byte(line), &e) == nil && e.Seq > 0 {
			list = append(list, e)
		}
	}
	return list
}
