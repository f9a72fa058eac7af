package main

import (
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
