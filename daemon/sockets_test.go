//go:build unix

package main

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSocketsAreRestored: when something else is mounted where the sockets were,
// the daemon can be asked again; while that cannot be, it is told once.
func TestSocketsAreRestored(t *testing.T) {
	above, err := os.MkdirTemp("", "ctl") // a path that has room for the sockets' names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(above) })
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	s := &sockets{dir: filepath.Join(above, "state")}
	read, act := s.get("read", "read.sock", ""), s.get("act", "act.sock", "")
	if s.err != nil || read == nil || act == nil {
		t.Fatal(s.err)
	}
	step := func(change func() error, told string, times int) {
		t.Helper()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		s.restore(log)
		if n := strings.Count(said.String(), told); n != times {
			t.Errorf("%q is said %d times, want %d:\n%s", told, n, times, said.String())
		}
	}
	const lost, back = "its sockets are gone", "are there again"
	nothing := func() error { return nil }
	step(nothing, back, 0)
	step(func() error { return os.Rename(s.dir, s.dir+".before") }, back, 1)
	step(func() error { os.RemoveAll(s.dir); return os.WriteFile(s.dir, nil, 0o600) }, lost, 1)
	step(nothing, lost, 1)
	step(func() error { return os.Remove(s.dir) }, back, 2)
	for _, name := range []string{"read.sock", "act.sock"} {
		c, err := net.Dial("unix", filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
