package main

import (
	"os"
	"path/filepath"
	"testing"

	"sonde/config"
)

func TestPlaceEvents(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own.json")
	for _, tt := range []struct{ logs, path, want string }{
		{"", "events.json", "events.json"}, // Resolve puts it into the state directory
		{dir, "events.json", filepath.Join(dir, "events.json")},
		{dir + string(filepath.ListSeparator) + "/other", "site/events.json", filepath.Join(dir, "site", "events.json")},
		{dir, own, own},
	} {
		cfg := &config.Config{}
		cfg.Output.JSON.Path = tt.path
		placeEvents(cfg, func(key string) string { return map[string]string{"LOGS_DIRECTORY": tt.logs}[key] })
		if got := cfg.Output.JSON.Path; got != tt.want {
			t.Errorf("LOGS_DIRECTORY=%s, path %s: %s, want %s", tt.logs, tt.path, got, tt.want)
		}
	}
}

// TestServiceDirectories has a user who names the service's configuration find the
// service, whatever that user's own directories are.
func TestServiceDirectories(t *testing.T) {
	for _, key := range []string{"STATE_DIRECTORY", "RUNTIME_DIRECTORY"} {
		t.Setenv(key, "")
	}
	dir, err := defaultStateDir("/etc/sonde//sonde.toml")
	if run := defaultRuntimeDir("/etc/sonde/sonde.toml"); err != nil || dir != "/var/lib/sonde" || run != "/run/sonde" {
		t.Errorf("%s, %s, %v", dir, run, err)
	}
	if root := os.Geteuid() == 0; ofService("/home/user/sonde.toml") != root {
		t.Errorf("as root %t: another file is taken for the service's: %t", root, !root)
	}
}
