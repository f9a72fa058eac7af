package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sonde/config"
	"sonde/daemon/internal/emit"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/quiet"
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
func (d *daemon) openStore(ctx context.Context) (told string, err error) {
	if err = d.openAsItIs(ctx); err == nil {
		return d.beginEpoch(ctx)
	}
	if !errors.Is(err, inventory.ErrCorrupt) || errors.Is(err, inventory.ErrForeign) {
		return "", err
	}
	why := err
	kept, err := inventory.SetAside(ctx, d.cfg.Sensor.StateDir)
	if err != nil {
		return "", errors.Join(why, err)
	}
	told = fmt.Sprintf("the store is damaged and was set aside as %s, a new one begins with a first look; "+
		"'sonde restore FILE' brings a backup back", kept)
	d.log.Error("store damaged, a new one begins", "err", why, "kept", kept)
	return told, d.openAsItIs(ctx)
}

func (d *daemon) openAsItIs(ctx context.Context) error {
	all, perWatch := rulesOf(d.cfg)
	s, err := inventory.Open(ctx, inventory.Config{Dir: d.cfg.Sensor.StateDir,
		Sensor: d.cfg.Sensor.Name, Version: version, Rules: all, Watches: perWatch, Keep: retentionOf(d.cfg),
		Dress: dresser(d.cfg), Clock: clockState, Log: d.log})
	if err == nil {
		d.store = s
	}
	return err
}

// adoptStore gives what outlives generations the store that is open now: nothing
// works with the one before it.
func (d *daemon) adoptStore(ctx context.Context) (err error) {
	d.machine.seed = seedOf(d.store.Sensor().UUID)
	if d.orders, err = quiet.Open(ctx, d.store, time.Now); err != nil {
		return err
	}
	d.machine.orders = d.orders
	d.store.SetSilencer(d.orders.Silenced)
	d.sinksMu.Lock()
	defer d.sinksMu.Unlock()
	for _, s := range d.sinks {
		s.wake = d.store.Wake()
	}
	return nil
}

// beginEpoch lets sequence numbers begin anew when the events file has more of
// them than the store: somebody put an older copy into its place. Receivers would
// take new events for those that they have.
func (d *daemon) beginEpoch(ctx context.Context) (told string, err error) {
	if !d.cfg.Output.JSON.Enabled {
		return "", nil
	}
	there, err := emit.Told(d.cfg.Output.JSON.Path, d.store.Epoch())
	if err != nil {
		return "", nil //nolint:nilerr // the file is opened next, which tells what it lacks
	}
	last, err := d.store.LastSeq(ctx)
	if err == nil && there > last {
		told = fmt.Sprintf("the store is older than the events file, which has event %d where it has %d: "+
			"a new epoch begins", there, last)
		d.log.Warn("a new epoch of events begins", "reason", told)
		err = d.store.NewEpoch(ctx)
	}
	if err != nil {
		return "", errors.Join(err, d.store.Close())
	}
	return told, nil
}

// reopenEvery is how often a store is tried to be opened whose device failed.
const reopenEvery = 2 * time.Second

// reopen closes a store that serves no more and opens it again, as soon as that
// can be done, and tells why.
func (d *daemon) reopen(ctx context.Context, why error) error {
	if err := d.store.Close(); err != nil {
		d.log.Warn("store closed with an error", "err", err)
	}
	var told string
	for {
		var err error
		if told, err = d.openStore(ctx); err == nil {
			break
		}
		d.log.Error("the store does not open, trying again", "err", err, "in", reopenEvery)
		if !d.rest(ctx, reopenEvery) {
			return nil
		}
	}
	d.log.Info("the store is open again")
	ctx = context.WithoutCancel(ctx) // moments; whoever calls looks whether to stop
	if err := d.adoptStore(ctx); err != nil {
		return err
	}
	if err := d.beginCursors(ctx); err != nil {
		return err
	}
	if told == "" {
		told = fmt.Sprintf("the store was opened again: %v", why)
	}
	return d.record(ctx, event.SensorDegraded, told)
}

// rest waits, and shows the service manager that we live.
func (d *daemon) rest(ctx context.Context, long time.Duration) bool {
	if d.machine.beat != nil {
		d.machine.beat()
	}
	t := time.NewTimer(long)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
