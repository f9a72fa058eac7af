package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sonde/capture"
	"sonde/config"
	"sonde/daemon/internal/control"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/loglimit"
	"sonde/daemon/internal/quiet"
	"sonde/daemon/internal/sensor"
	"sonde/daemon/internal/task"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/systemd"
)

// Of the 5 s that a stop may take, the sinks have most.
const (
	flushTimeout = 3 * time.Second
	recordWithin = time.Second
)

func newRunCommand() *cobra.Command {
	var path string
	var databases []string
	c := &cobra.Command{
		Use:   "run",
		Short: "The daemon, in the foreground",
		Long: `Watches the networks of its configuration until SIGTERM or SIGINT. SIGHUP reads
the configuration again and keeps the old one if the new one has mistakes. SIGUSR1
opens the event file anew, for a log rotation that has moved it away. Without a configuration it watches loopback only.`,
		Example: `  sonde run
  sonde run -c /etc/sonde/sonde.toml`,
		Args: noArgs,
		RunE: stoppable(func(c *cobra.Command, _ []string) error {
			cfg, err := readConfig(path)
			if err != nil {
				return err
			}
			return runDaemon(c.Context(), &daemon{reloads: make(chan chan<- error), path: path, databases: databases, cfg: cfg,
				stderr: c.ErrOrStderr()})
		}),
	}
	addConfigFlag(c, &path)
	addDatabaseFlag(c, &databases)
	return c
}

// A daemon is the state of `sonde run` that outlives a reload.
type daemon struct {
	path      string
	databases []string // of the command line, before those of the configuration
	cfg       *config.Config
	stderr    io.Writer

	db      *probes.Database
	started bool // sensor.started is recorded
	disk    diskState
	ailing  error // why the store is to be opened again

	sinksMu sync.Mutex
	sinks   map[string]*sinkState // by name

	level slog.LevelVar
	log   *slog.Logger
	store *inventory.Store

	control   *control.Server // nil: nobody may ask
	pulse     pulse
	beside    atomic.Pointer[[]part] // loops that the watchdog looks at; nil: none
	reloads   chan chan<- error      // each waits for how it went
	orders    *quiet.Book
	machine   machine
	discovery method // of the current configuration
	said      string // by tellMissing
}

// missing gives what the sensor does without for want of raw sockets, and how to
// have it.
func (d *daemon) missing() (without, reason string) {
	var parts []string
	reason = d.discovery.reason
	if d.discovery.name == config.Connect && d.cfg.Discovery.Method == config.Auto {
		parts = append(parts, "discovery by packets of its own")
	}
	if err := d.machine.net.capture; err != nil && listens(d.cfg) {
		parts, reason = append(parts, "listening"), err.Error()
	}
	return strings.Join(parts, " and "), reason
}

// tellMissing says so, unless it was said before.
func (d *daemon) tellMissing() {
	said, reason := d.missing()
	if said != "" && said != d.said {
		d.log.Warn("the sensor works without a part of itself", "without", said, "discovery", d.discovery.name,
			"reason", reason)
	}
	d.said = said
}

// runDaemon opens the store, runs one generation per configuration, and closes
// everything in the order in which nothing is lost.
func runDaemon(ctx context.Context, d *daemon) (err error) {
	calm := loglimit.New(slog.NewTextHandler(d.stderr, &slog.HandlerOptions{Level: &d.level}))
	defer calm.Close()
	d.log = slog.New(calm)
	d.setLevel()
	saveMemory()
	if files, err := capture.RaiseFileLimit(); err != nil {
		d.log.Warn("limit of open files not raised", "have", files, "err", err)
	}
	conversations, err := engine.New(engine.Config{Log: d.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conversations.Close()) }()
	d.machine = machine{loops: conversations.Loops(), sockets: conversations.Stats, busy: conversations.Busy, net: openNetwork(d.log),
		beat: d.pulse.feed(d.watchdog()), held: d.disk.held.Load, outputs: d.countOutputs}
	defer func() { err = errors.Join(err, d.machine.net.Close()) }()
	if d.db, err = d.loadDatabase(d.cfg); err != nil {
		return err
	}
	damage, err := d.openStore(ctx)
	if err != nil {
		if ctx.Err() != nil { // a check or a migration that takes long
			d.log.Info("told to stop while opening the store", "err", err)
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, d.store.Close()) }()
	// What follows takes moments, and is done even when the sensor is told to
	// stop meanwhile: started is told, and then stopped.
	begin := context.WithoutCancel(ctx)
	if err := d.adoptStore(begin); err != nil {
		return err
	}
	if err := d.checkOutputs(d.cfg); err != nil {
		return err
	}
	closeControl, err := d.openControl(begin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeControl()) }()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	defer d.obeyReopen()()
	if err := d.beginCursors(begin); err != nil {
		return err
	}
	if err := d.goOnWithOutages(begin); err != nil {
		return err
	}
	if err := d.record(begin, event.SensorStarted, "the sensor started, version "+version); err != nil {
		return err
	}
	if damage != "" {
		if err := d.record(begin, event.SensorDegraded, damage); err != nil {
			return err
		}
	}
	d.started = true
	if d.discovery, err = d.machine.net.method(d.cfg.Discovery.Method); err != nil {
		return err
	}
	d.log.Info("sonde started", "version", version, "state", d.cfg.Sensor.StateDir,
		"watches", len(d.cfg.Watches), "discovery", d.discovery.name)
	d.tellMissing()
	for {
		again, err := d.generation(ctx, hup)
		if err != nil || !again {
			return err
		}
		if why := d.ailing; why != nil {
			d.ailing = nil
			if err := d.reopen(ctx, why); err != nil || ctx.Err() != nil {
				return err
			}
		}
	}
}

// generation runs all parts under the current configuration until ctx ends, a
// part fails, or a new configuration was read.
func (d *daemon) generation(ctx context.Context, hup <-chan os.Signal) (again bool, err error) {
	d.store.SetRules(rulesOf(d.cfg))
	d.orders.SetWindows(windowsOf(d.cfg))
	d.store.SetRetention(retentionOf(d.cfg))
	d.checkRoom(d.cfg)
	d.store.SetDress(dresser(d.cfg))
	begin := context.WithoutCancel(ctx) // moments; a stop is obeyed by the parts
	if err := d.beginCursors(begin); err != nil {
		return false, err
	}
	if err := d.retireWatches(begin); err != nil {
		return false, err
	}
	m := d.machine
	set := fmt.Sprint(d.db.SetHash(), "/", d.cfg.Database.Intensity)
	if m.probesSince, err = d.store.ProbeSet(begin, set, time.Now()); err != nil {
		return false, err
	}
	if m.sent = openSent(begin, d.cfg, d.log); m.sent != nil {
		defer func() { // after all that sends
			if err := m.sent.Close(); err != nil {
				d.log.Warn("log of what was sent closed with an error", "err", err)
			}
		}()
	}
	work, err := newSensor(d.cfg, d.db, d.store, m, d.log)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, work.close()) }()
	d.machine.net.outages.tellTo(work.sensor.Tell)
	loaded := make(chan struct{}) // closed once the sensor has the inventory in memory
	drains, err := d.drains(loaded)
	if err != nil {
		return false, err
	}
	d.follow(work, m.sent, drains)
	defer d.beside.Store(nil)

	// The sinks end after everything that commits events has ended.
	emitCtx, stopEmit := context.WithCancel(context.WithoutCancel(ctx))
	emitted := make(chan error, 1)
	watchCtx, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	emitReady := make(chan struct{})
	go func() {
		err := task.Run(emitCtx, func() { close(emitReady) }, drains...)
		if err != nil {
			stopWatch() // a sink that cannot work ends the sensor; to have none is no error
		}
		emitted <- err
	}()
	next := make(chan plan, 1)
	tasks := work.tasks()
	if m.sent != nil {
		tasks = append(tasks, m.sent)
	}
	allReady := func() {
		close(loaded)
		d.lend(work.sensor)
	}
	err = task.Run(watchCtx, allReady, append(tasks,
		&reloader{d: d, hup: hup, next: next, stop: stopWatch}, &rematcher{d, loaded}, &diskGuard{d, diskFree, stopWatch},
		&readyNotice{d: d, after: emitReady})...)
	d.lend(nil)

	select {
	case p := <-next:
		d.cfg, d.db = p.cfg, p.db
		if err == nil {
			if d.discovery, err = d.machine.net.method(d.cfg.Discovery.Method); err == nil {
				d.tellMissing()
			}
		}
		again = ctx.Err() == nil && err == nil
	default:
		again = d.ailing != nil && ctx.Err() == nil && err == nil
	}
	if !again {
		d.tell(systemd.Stopping)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
		err = errors.Join(err, d.record(last, event.SensorStopped, "the sensor stopped"))
		cancel()
	}
	stopEmit()
	return again, errors.Join(err, <-emitted)
}

func (d *daemon) setLevel() {
	if err := d.level.UnmarshalText([]byte(d.cfg.Sensor.LogLevel)); err != nil {
		d.level.Set(slog.LevelInfo) // the configuration allows no other word
	}
}

// tell notifies the service manager; that it cannot is no reason to stop.
func (d *daemon) tell(notify func() error) {
	if err := notify(); err != nil {
		d.log.Warn("service manager not told", "err", err)
	}
}

func (d *daemon) record(ctx context.Context, a event.Action, message string) error {
	return d.store.Record(ctx, event.Event{Action: a, Message: message})
}

// retireWatches tells of watches that are no longer in the configuration.
func (d *daemon) retireWatches(ctx context.Context) error {
	known, err := d.store.Watches(ctx)
	if err != nil {
		return err
	}
	configured := map[string]bool{}
	for i := range d.cfg.Watches {
		configured[d.cfg.Watches[i].Name] = true
	}
	for _, name := range known {
		if !configured[name] {
			if err := d.store.RetireWatch(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

var _ sensor.Inventory = (*inventory.Store)(nil)
