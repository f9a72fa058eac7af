package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A stopAt is a log that tells the daemon to stop when a line has a text.
type stopAt struct {
	text string
	stop context.CancelFunc
	all  bytes.Buffer
}

// Write implements io.Writer. The log's handler calls it one line at a time.
func (s *stopAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.text) {
		s.stop()
	}
	return s.all.Write(p)
}

// TestStoppedWhileStarting: a daemon that is told to stop before its parts run
// ends without an error, and says that it was stopped.
func TestStoppedWhileStarting(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sonde.toml")
	text := "[sensor]\nstate_dir = \"" + filepath.ToSlash(dir) + "\"\n[[watch]]\nname = \"w\"\ntargets = [\"127.0.0.1\"]\ntcp_ports = \"1\"\nudp_ports = \"\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"sonde started", "events go to a sink"} {
		cfg, err := readConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		log := &stopAt{text: at, stop: stop}
		if err := runDaemon(ctx, &daemon{path: path, cfg: cfg, stderr: log}); err != nil {
			t.Errorf("stopped at %q: %v\n%s", at, err, log.all.String())
		}
		if ctx.Err() == nil {
			t.Errorf("the log has no %q:\n%s", at, log.all.String())
		}
		stop()
	}
	told, err := os.ReadFile(filepath.Join(dir, "events.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"sensor.started", "sensor.stopped"} {
		if n := strings.Count(string(told), `"action":"`+action+`"`); n != 2 {
			t.Errorf("%s is told %d times, want 2\n%s", action, n, told)
		}
	}
}
