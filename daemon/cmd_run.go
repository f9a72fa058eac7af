package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sonde/capture"
	"sonde/config"
	"sonde/daemon/internal/emit"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/sensor"
	"sonde/daemon/internal/task"
	"sonde/probes"
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
the configuration again and keeps the old one if the new one has mistakes.
Without a configuration it watches loopback only.`,
		Example: `  sonde run
  sonde run -c /etc/sonde/sonde.toml`,
		Args: noArgs,
		RunE: stoppable(func(c *cobra.Command, _ []string) error {
			cfg, err := readConfig(path)
			if err != nil {
				return err
			}
			return runDaemon(c.Context(), &daemon{path: path, databases: databases, cfg: cfg,
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

	level slog.LevelVar
	log   *slog.Logger
	store *inventory.Store
}

// runDaemon opens the store, runs one generation per configuration, and closes
// everything in the order in which nothing is lost.
func runDaemon(ctx context.Context, d *daemon) (err error) {
	d.log = slog.New(slog.NewTextHandler(d.stderr, &slog.HandlerOptions{Level: &d.level}))
	d.setLevel()
	if files, err := capture.RaiseFileLimit(); err != nil {
		d.log.Warn("limit of open files not raised", "have", files, "err", err)
	}
	db, err := d.loadDatabase()
	if err != nil {
		return err
	}
	all, perWatch := rulesOf(d.cfg)
	d.store, err = inventory.Open(ctx, inventory.Config{Dir: d.cfg.Sensor.StateDir,
		Sensor: d.cfg.Sensor.Name, Version: version, Rules: all, Watches: perWatch, Log: d.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.store.Close()) }()

	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	if err := d.record(ctx, event.SensorStarted, "the sensor started, version "+version); err != nil {
		return err
	}
	d.log.Info("sonde started", "version", version, "state", d.cfg.Sensor.StateDir,
		"watches", len(d.cfg.Watches), "discovery", "connect")
	for {
		again, err := d.generation(ctx, db, hup)
		if err != nil || !again {
			return err
		}
		if db, err = d.loadDatabase(); err != nil {
			return err
		}
	}
}

// generation runs all parts under the current configuration until ctx ends, a
// part fails, or a new configuration was read.
func (d *daemon) generation(ctx context.Context, db *probes.Database, hup <-chan os.Signal) (again bool, err error) {
	d.store.SetRules(rulesOf(d.cfg))
	if err := d.retireWatches(ctx); err != nil {
		return false, err
	}
	watch, err := newSensor(d.cfg, db, d.store, d.watchdog(), d.log)
	if err != nil {
		return false, err
	}
	drains, err := d.drains()
	if err != nil {
		return false, err
	}

	// The sinks end after everything that commits events has ended.
	emitCtx, stopEmit := context.WithCancel(context.WithoutCancel(ctx))
	emitted := make(chan error, 1)
	watchCtx, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	emitReady := make(chan struct{})
	go func() {
		defer stopWatch() // a sink that cannot work ends the sensor
		emitted <- task.Run(emitCtx, func() { close(emitReady) }, drains...)
	}()
	next := make(chan *config.Config, 1)
	err = task.Run(watchCtx, nil,
		&reloader{d: d, hup: hup, next: next, stop: stopWatch},
		&readyNotice{d: d, after: emitReady}, watch)

	select {
	case d.cfg = <-next:
		again = ctx.Err() == nil && err == nil
	default:
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

// loadDatabase loads what command line and configuration say. The daemon goes
// without a user's file that has mistakes, after saying so, and refuses to
// start on mistakes in the built-in one.
func (d *daemon) loadDatabase() (*probes.Database, error) {
	files := d.databases
	if len(files) == 0 {
		files = d.cfg.Database.Files
	}
	sources, err := databaseSources(files)
	if err != nil {
		return nil, err
	}
	db, err := probes.Load(sources...)
	if err == nil {
		return db, nil
	}
	if own, _ := probes.Builtin(); own != nil {
		if _, bad := probes.Load(own...); bad != nil {
			return nil, fmt.Errorf("built-in database: %w", bad)
		}
	}
	var problems probes.Problems
	errors.As(err, &problems)
	for _, p := range problems {
		d.log.Error("probe file has a mistake, the line is left out", "at", p.Pos.String(), "reason", p.Text)
	}
	return db, nil
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

// watchdog gives what the loop calls when it has done work: it feeds the
// service manager's watchdog as often as that wants, or is nil without one.
func (d *daemon) watchdog() func() {
	every, err := systemd.WatchdogInterval()
	if err != nil {
		d.log.Warn("no watchdog", "err", err)
	}
	if every <= 0 {
		return nil
	}
	var fed time.Time
	return func() {
		if now := time.Now(); now.Sub(fed) >= every {
			fed = now
			d.tell(systemd.Alive)
		}
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

// drains makes one task per configured sink, and forgets the cursors of those
// that are no longer configured.
func (d *daemon) drains() ([]task.Task, error) {
	var sinks []emit.Sink
	out := &d.cfg.Output
	if out.JSON.Enabled {
		s, err := emit.NewJSONFile(emit.JSONFileConfig{Path: out.JSON.Path, MaxSize: out.JSON.MaxSize,
			Keep: out.JSON.Keep, Sensor: d.store.Sensor(), Now: time.Now, Log: d.log})
		if err != nil {
			return nil, err
		}
		d.log.Info("events go to a file", "path", out.JSON.Path)
		sinks = append(sinks, s)
	}
	if out.Syslog.Enabled {
		d.log.Info("events go to syslog", "target", out.Syslog.Target.Network+":"+out.Syslog.Target.Address)
		sinks = append(sinks, emit.NewSyslog(emit.SyslogConfig{Network: out.Syslog.Target.Network,
			Address: out.Syslog.Target.Address, Facility: out.Syslog.Facility,
			Hostname: d.cfg.Sensor.Name, Log: d.log}))
	}
	if isTerminal(d.stderr) {
		sinks = append(sinks, emit.NewTerminal(d.stderr))
	}
	var tasks []task.Task
	for _, s := range sinks {
		tasks = append(tasks, &emit.Drain{Source: outbox{d.store}, Sink: s, Epoch: d.store.Epoch(),
			Wake: d.store.Wake(), Log: d.log, FlushTimeout: flushTimeout})
	}
	return tasks, d.dropCursors(sinks)
}

func (d *daemon) dropCursors(sinks []emit.Sink) error {
	ctx := context.Background()
	cursors, err := d.store.Cursors(ctx)
	if err != nil {
		return err
	}
	for _, s := range sinks {
		delete(cursors, s.Name())
	}
	for name := range cursors {
		if err := d.store.DropCursor(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// reloader waits for SIGHUP and reads the configuration again.
type reloader struct {
	d    *daemon
	hup  <-chan os.Signal
	next chan<- *config.Config // takes one
	stop func()                // ends this generation
}

// Name implements task.Task.
func (*reloader) Name() string { return "reload" }

// Run implements task.Task.
func (r *reloader) Run(ctx context.Context, ready func()) error {
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.hup:
		}
		r.d.tell(systemd.Reloading)
		cfg, err := r.d.reread()
		if err != nil {
			r.d.log.Error("configuration not reloaded, the old one stays", "err", err)
			r.d.tell(systemd.Ready)
			continue
		}
		r.d.log.Info("configuration reloaded", "watches", len(cfg.Watches))
		r.next <- cfg
		r.stop()
		return nil
	}
}

// reread reads and checks a new configuration.
func (d *daemon) reread() (*config.Config, error) {
	cfg, err := readConfig(d.path)
	if err != nil {
		return nil, err
	}
	if diff := config.Diff(d.cfg, cfg); len(diff.Restart) > 0 {
		return nil, fmt.Errorf("%v cannot change while running; restart for that", diff.Restart)
	}
	if _, err := databaseSources(cfg.Database.Files); err != nil {
		return nil, err
	}
	return cfg, nil
}

// readyNotice tells systemd once everything works.
type readyNotice struct {
	d     *daemon
	after <-chan struct{}
}

// Name implements task.Task.
func (*readyNotice) Name() string { return "ready" }

// Run implements task.Task.
func (r *readyNotice) Run(ctx context.Context, ready func()) error {
	ready()
	select {
	case <-r.after:
		r.d.setLevel()
		r.d.tell(systemd.Ready)
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}

var _ sensor.Inventory = (*inventory.Store)(nil)
