package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"sonde/config"
)

func newCheckCommand() *cobra.Command {
	var path, state string
	c := &cobra.Command{
		Use:   "check",
		Short: "Validate a configuration: every error with line and column",
		Long: `Reads a configuration as the daemon would, with conf.d, exclude.d and probes.d
beside it, and prints every mistake with file, line, column and remedy, and reads
the certificates and keys of the outputs. It asks nothing of
the network and changes nothing, so it fits into configuration management.

With --state it reads a state directory or a backup instead, all of it, and says
whether it is whole. Of a large store that takes minutes.`,
		Example: `  sonde check -c /etc/sonde/sonde.toml
  sonde check --state /var/backups/sonde.db`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if state != "" {
				return checkState(c, state)
			}
			cfg, err := readConfig(path)
			if err != nil {
				return err
			}
			chosen := chosenDatabase(&cfg.Database, nil)
			if _, err := chosen.load(); err != nil {
				return err
			}
			remarks, err := checkSecrets(cfg)
			if err != nil {
				return err
			}
			if err := describeConfig(c.OutOrStdout(), path, cfg); err != nil {
				return err
			}
			for _, r := range remarks {
				fmt.Fprintln(c.ErrOrStderr(), "not looked at:", r)
			}
			return nil
		},
	}
	addConfigFlag(c, &path)
	c.Flags().StringVar(&state, "state", "", "check this state directory or backup `PATH` instead")
	return c
}

func addConfigFlag(c *cobra.Command, path *string) {
	c.Flags().StringVarP(path, "config", "c", "",
		"configuration `FILE` (without one: the built-in default, loopback only)")
}

// readConfig loads the file, or the built-in default without one, and fills in
// what depends on this machine.
func readConfig(path string) (*config.Config, error) {
	cfg := config.Default()
	if path != "" {
		var err error
		if cfg, err = loadConfig(path); err != nil {
			return nil, err
		}
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("host name: %w; set sensor.name", err)
	}
	dir, err := defaultStateDir(path)
	if err != nil && cfg.Sensor.StateDir == "" {
		return nil, err
	}
	placeEvents(cfg, os.Getenv)
	cfg.Resolve(hostname, dir, defaultRuntimeDir(path))
	return cfg, nil
}

// loadConfig reads a file. What cannot be read is told with its remedy.
func loadConfig(path string) (*config.Config, error) { return loadConfigBy(config.Load, path) }

func loadConfigBy(load func(string) (*config.Config, error), path string) (*config.Config, error) {
	cfg, err := load(path)
	var mistakes config.Errors
	switch {
	case err == nil, errors.As(err, &mistakes):
		return cfg, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("configuration: %w; name the right file with -c", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("configuration: %w; run as a user that may read it", err)
	default:
		return nil, fmt.Errorf("configuration: %w; name a file in TOML", err)
	}
}

func describeConfig(w io.Writer, path string, cfg *config.Config) error {
	if path == "" {
		path = "built-in default"
	}
	_, err := fmt.Fprintf(w, "%s: ok\n", path)
	for i := range cfg.Watches {
		watch := &cfg.Watches[i]
		_, e := fmt.Fprintf(w, "watch %s: %d addresses, %d TCP and %d UDP ports, discovered every %v, verified every %v\n",
			watch.Name, cfg.Walked(watch).Len(), watch.TCPPorts.Len(), watch.UDPPorts.Len(),
			watch.DiscoverEvery, watch.VerifyEvery)
		err = errors.Join(err, e)
		if h := newHostsPlan(cfg, watch, cfg.Discovery.Method != config.Connect, nil); h != nil {
			_, e := fmt.Fprintf(w, "watch %s: hosts %s\n", watch.Name, h)
			err = errors.Join(err, e)
		}
	}
	return err
}
