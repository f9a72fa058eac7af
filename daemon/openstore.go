package main

import (
	"context"
	"errors"
	"fmt"

	"sonde/config"
	"sonde/daemon/internal/inventory"
)

// retentionOf says what the inventory keeps.
func retentionOf(cfg *config.Config) inventory.Retention {
	s := cfg.State
	return inventory.Retention{EventsFor: s.EventsFor, EventsMost: s.EventsMost, HistoryFor: s.HistoryFor,
		HistoryMost: s.HistoryMost, GoneFor: s.GoneFor, MaxSize: s.MaxSize}
}

// openStore opens the inventory. A damaged one is set aside and a new one begun:
// a sensor that does not start is blind, and one that starts again and again tells
// nobody why. What is to be told of that is given, else "".
func (d *daemon) openStore(ctx context.Context) (damage string, err error) {
	all, perWatch := rulesOf(d.cfg)
	open := func() error {
		d.store, err = inventory.Open(ctx, inventory.Config{Dir: d.cfg.Sensor.StateDir,
			Sensor: d.cfg.Sensor.Name, Version: version, Rules: all, Watches: perWatch, Keep: retentionOf(d.cfg),
			Log: d.log})
		return err
	}
	if err := open(); !errors.Is(err, inventory.ErrCorrupt) || errors.Is(err, inventory.ErrForeign) {
		return "", err
	}
	why := err
	kept, err := inventory.SetAside(ctx, d.cfg.Sensor.StateDir)
	if err != nil {
		return "", errors.Join(why, err)
	}
	damage = fmt.Sprintf("the store is damaged and was set aside as %s, a new one begins with a first look; "+
		"'sonde restore FILE' brings a backup back", kept)
	d.log.Error("store damaged, a new one begins", "err", why, "kept", kept)
	return damage, open()
}
