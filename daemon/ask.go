package main

import (
	"context"
	"net/url"

	"sonde/config"
	"sonde/daemon/internal/control"
)

// control gives the configuration of the daemon's sockets.
func (f *stateFlags) control() (config.Control, error) {
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
func (f *stateFlags) get(ctx context.Context, path string, query url.Values, into any) error {
	at, err := f.control()
	if err != nil {
		return err
	}
	return control.NewClient(at.ReadPath(), "control.read_group").Get(ctx, path, query, into)
}
