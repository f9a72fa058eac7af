package main

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"sonde/config"
	"sonde/daemon/internal/control"
)

// askFlags are how the commands that ask a running daemon find it: as those that
// read its state do.
type askFlags struct{ config, dir string }

func (f *askFlags) add(c *cobra.Command) {
	addConfigFlag(c, &f.config)
	c.Flags().StringVar(&f.dir, "state-dir", "", "state `DIR` of the daemon (without it: as the configuration says)")
}

// control gives the configuration of the daemon's sockets.
func (f *askFlags) control() (config.Control, error) {
	if f.dir != "" {
		return config.Control{Enabled: true, Directory: f.dir}, nil
	}
	cfg, err := readConfig(f.config)
	if err != nil {
		return config.Control{}, err
	}
	return cfg.Control, nil
}

// get asks the daemon for a path.
func (f *askFlags) get(ctx context.Context, path string, query url.Values, into any) error {
	at, err := f.control()
	if err != nil {
		return err
	}
	return control.NewClient(at.ReadPath(), "control.read_group").Get(ctx, path, query, into)
}
