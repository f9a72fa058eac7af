package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/task"
)

// guardEvery is how often the disk is looked at: at the rate of a busy sensor,
// some 10 MiB a second, a twentieth of the default min_free.
const guardEvery = time.Second

// A diskGuard holds visits and sweeps back while the file system of the state
// directory is nearly full: what could not be stored would be asked in vain. It
// tells so, also when the store has grown over its bound.
type diskGuard struct {
	d    *daemon
	free func(dir string) (int64, error)
	stop func() // ends this generation
}

// diskState is what the guard knows over generations.
type diskState struct {
	held     atomic.Bool // visits and sweeps are held back
	low, big alarm
	outputs  map[string]*alarm // of other file systems, by directory
}

// An alarm is told when it begins and when it ends, in this order, also when its
// beginning could not be recorded before its end.
type alarm struct {
	is   bool
	owed []owed // at most the last beginning and the last end
}

type owed struct {
	action event.Action
	text   string
}

// Name implements task.Task.
func (*diskGuard) Name() string { return "disk" }

// Run implements task.Task.
func (g *diskGuard) Run(ctx context.Context, ready func()) error {
	g.look(ctx)
	ready()
	task.Every(ctx, guardEvery, g.look)
	return nil
}

// look compares what is free, and what the store takes, with the configuration.
func (g *diskGuard) look(ctx context.Context) {
	d, cfg := g.d, g.d.cfg.State
	if why := d.store.Ailing(); why != nil {
		g.heal(ctx, why)
		return
	}
	free, err := g.free(d.cfg.Sensor.StateDir)
	if err == nil {
		// A little more before it goes on, so that it does not come and go.
		low := free < cfg.MinFree || d.disk.held.Load() && free < cfg.MinFree+cfg.MinFree/8
		d.disk.held.Store(low)
		g.tell(ctx, &d.disk.low, low, fmt.Sprintf("%d MiB are free in %s, below state.min_free: no visit and no sweep begins",
			free>>20, d.cfg.Sensor.StateDir), "enough is free on the disk again: visits and sweeps go on")
	}
	g.lookElsewhere(ctx)
	g.tell(ctx, &d.disk.big, d.store.Overfull(),
		"the inventory alone is larger than state.max_size: no events and history are kept beside it",
		"the inventory is smaller than state.max_size again")
}

// lookElsewhere looks at the file systems of outputs that are not that of the
// state directory. Events wait in the store, so that nothing is held back.
func (g *diskGuard) lookElsewhere(ctx context.Context) {
	d, least := g.d, g.d.cfg.State.MinFree
	for dir := range mostBelow(d.cfg) {
		if sameDisk(dir, d.cfg.Sensor.StateDir) {
			continue
		}
		free, err := g.free(dir)
		if err != nil {
			continue // who writes there says more
		}
		a := d.disk.outputs[dir]
		if a == nil {
			if d.disk.outputs == nil {
				d.disk.outputs = map[string]*alarm{}
			}
			a = &alarm{}
			d.disk.outputs[dir] = a
		}
		g.tell(ctx, a, free < least || a.is && free < least+least/8,
			fmt.Sprintf("%d MiB are free in %s, below state.min_free: what is written there may stop", free>>20, dir),
			"enough is free in "+dir+" again")
	}
}

// heal ends this generation, so that the next one opens the store again. What was
// removed is written anew before, while it is still in our hands.
func (g *diskGuard) heal(ctx context.Context, why error) {
	g.d.log.Error("the store serves no more", "err", why)
	if errors.Is(why, inventory.ErrRemoved) {
		if err := g.d.store.Rescue(ctx); err != nil {
			g.d.log.Error("the store that was removed is not written anew, trying again", "err", err)
			return
		}
	}
	g.d.ailing = why
	g.stop()
}

// tell records the beginning or the end of an alarm. On a disk that is full that
// may fail: it is tried again until it is recorded.
func (g *diskGuard) tell(ctx context.Context, a *alarm, is bool, begins, ends string) {
	if is != a.is {
		a.is = is
		next := owed{event.SensorRecovered, ends}
		if is {
			next = owed{event.SensorDegraded, begins}
			a.owed = nil // an end that nobody heard of ends nothing any more
			g.d.log.Error("the sensor is degraded", "reason", begins)
		} else {
			g.d.log.Info("the sensor has recovered", "reason", ends)
		}
		a.owed = append(a.owed, next)
	}
	for len(a.owed) > 0 && g.d.record(ctx, a.owed[0].action, a.owed[0].text) == nil {
		a.owed = a.owed[1:]
	}
}
