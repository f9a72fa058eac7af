package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sonde/config"
)

// defaultStateDir is where the inventory lives when nothing else is said: the
// service's directory for root and under systemd, else one of the user's own,
// after the XDG base directory specification.
func defaultStateDir(configFile string) (string, error) {
	if os.Getenv("STATE_DIRECTORY") != "" {
		return config.DefaultStateDir(os.Getenv), nil
	}
	if ofService(configFile) {
		return filepath.Join(config.DefaultStateDir(os.Getenv), instanceOf(configFile)), nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sonde"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("state directory: %w; set sensor.state_dir or --state-dir", err)
	}
	return filepath.Join(home, ".local", "state", "sonde"), nil
}

// ofService says whether the service is meant, and not a daemon of the user's own:
// by root, or by whoever names the service's configuration, who may be in one of
// its groups.
func ofService(configFile string) bool {
	return os.Geteuid() == 0 || filepath.Clean(configFile) == systemConfig || instanceOf(configFile) != ""
}

// instanceOf gives the instance of sonde@.service whose configuration that is, by
// which its directories are called, "" for any other file.
func instanceOf(configFile string) string {
	dir, file := filepath.Split(filepath.Clean(configFile))
	above, name := filepath.Split(filepath.Clean(dir))
	if file != filepath.Base(systemConfig) || filepath.Clean(above) != filepath.Dir(systemConfig) {
		return ""
	}
	return name
}

// placeEvents puts the event file into the directory for logs that systemd made
// for the service ($LOGS_DIRECTORY, of several the first), if there is one and
// the configuration names no directory itself.
func placeEvents(cfg *config.Config, getenv func(string) string) {
	dirs := filepath.SplitList(getenv("LOGS_DIRECTORY"))
	if len(dirs) > 0 && dirs[0] != "" && !filepath.IsAbs(cfg.Output.JSON.Path) {
		cfg.Output.JSON.Path = filepath.Join(dirs[0], cfg.Output.JSON.Path)
	}
}

// defaultRuntimeDir is where the sockets of a service are, for root and under
// systemd; "" for a user, whose sockets are in the state directory.
func defaultRuntimeDir(configFile string) string {
	if os.Getenv("RUNTIME_DIRECTORY") != "" {
		return config.DefaultRuntimeDir(os.Getenv)
	}
	if ofService(configFile) {
		return filepath.Join(config.DefaultRuntimeDir(os.Getenv), instanceOf(configFile))
	}
	return ""
}

// stateFlags are how the commands that read the state, or ask the daemon, find both.
type stateFlags struct{ config, dir string }

func (f *stateFlags) add(c *cobra.Command) {
	addConfigFlag(c, &f.config)
	c.Flags().StringVar(&f.dir, "state-dir", "", "state `DIR` (without it: as the configuration says)")
}

func (f *stateFlags) resolve() (string, error) {
	dir, _, err := f.room()
	return dir, err
}

// room gives the directory, and how many bytes are to stay free.
func (f *stateFlags) room() (dir string, least int64, err error) {
	if f.dir != "" {
		return f.dir, config.Default().State.MinFree, nil
	}
	cfg, err := readConfig(f.config)
	if err != nil {
		return "", 0, err
	}
	return cfg.Sensor.StateDir, cfg.State.MinFree, nil
}
