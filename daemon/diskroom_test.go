package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/config"
	"sonde/daemon/internal/inventory"
)

func TestRoomFor(t *testing.T) {
	dir := t.TempDir()
	if _, err := diskFree(dir); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err := roomFor(dir, 0, 0); err != nil {
		t.Error(err)
	}
	for _, least := range []int64{0, 1 << 60} {
		err := roomFor(dir, 1<<61, least)
		if err == nil || !strings.Contains(err.Error(), "too few for 2199023255552 MiB") {
			t.Errorf("%v", err)
		}
	}
	if err := roomFor(filepath.Join(dir, "none"), 0, 0); err == nil {
		t.Error("a directory that is not there has room")
	}
}

func TestMostBelow(t *testing.T) {
	cfg := config.Default()
	cfg.State.MaxSize, cfg.State.MinFree, cfg.Sent.MaxSize = 1000, 200, 30
	cfg.Output.JSON.MaxSize, cfg.Output.JSON.Keep = 10, 3
	cfg.Output.JSON.Path, cfg.Output.Inventory.Path = "events/events.json", "snapshot/inventory.json"
	cfg.Resolve("host", "/var/lib/sonde", "")
	state := filepath.Clean("/var/lib/sonde")
	want := map[string]int64{state: 1230 + inventory.MaxLog, filepath.Join(state, "events"): 50, filepath.Join(state, "snapshot"): 0}
	if d := cmp.Diff(want, mostBelow(cfg)); d != "" {
		t.Error(d)
	}
	cfg.Sent.Enabled, cfg.Output.JSON.Enabled, cfg.Output.Inventory.Enabled = false, false, false
	if d := cmp.Diff(map[string]int64{state: 1200 + inventory.MaxLog}, mostBelow(cfg)); d != "" {
		t.Error(d)
	}
}
