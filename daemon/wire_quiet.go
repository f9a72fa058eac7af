package main

import (
	"sonde/config"
	"sonde/daemon/internal/quiet"
	"sonde/daemon/internal/sensor"
)

// windowsOf gives the maintenance windows of a configuration.
func windowsOf(cfg *config.Config) []quiet.Window {
	var out []quiet.Window
	for i := range cfg.Maintenance {
		m := &cfg.Maintenance[i]
		out = append(out, quiet.Window{Name: m.Name, At: m.Hours.At, Covers: m.Covers})
	}
	return out
}

var _ sensor.Orders = (*quiet.Book)(nil)
