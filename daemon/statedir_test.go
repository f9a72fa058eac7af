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
	for _, tt := range []struct{ file, state, run string }{
		{"/etc/sonde//sonde.toml", "/var/lib/sonde", "/run/sonde"},
		{"/etc/sonde/site/sonde.toml", "/var/lib/sonde/site", "/run/sonde/site"}, // of sonde@site.service
		{"/etc/sonde/./site//sonde.toml", "/var/lib/sonde/site", "/run/sonde/site"},
	} {
		dir, err := defaultStateDir(tt.file)
		if run := defaultRuntimeDir(tt.file); err != nil || dir != tt.state || run != tt.run {
			t.Errorf("%s: %s, %s, %v; want %s, %s", tt.file, dir, run, err, tt.state, tt.run)
		}
	}
	for _, file := range []string{"/etc/sonde/conf.d/site.toml", "/etc/sonde/a/b/sonde.toml", "/srv/site/sonde.toml", "sonde.toml", ""} {
		if name := instanceOf(file); name != "" {
			t.Errorf("%s is taken for the configuration of the instance %s", file, name)
		}
	}
	if root := os.Geteuid() == 0; ofService("/home/user/sonde.toml") != root {
		t.Errorf("as root %t: another file is taken for the service's: %t", root, !root)
	}
}
