package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"sonde/config"
	"sonde/probes"
	"sonde/systemd"
)

// A plan is what one generation of the daemon works by.
type plan struct {
	cfg *config.Config
	db  *probes.Database
}

// reloader waits for SIGHUP and reads the configuration again.
type reloader struct {
	d    *daemon
	hup  <-chan os.Signal
	next chan<- plan // takes one
	stop func()      // ends this generation
}

// Name implements task.Task.
func (*reloader) Name() string { return "reload" }

// Run implements task.Task.
func (r *reloader) Run(ctx context.Context, ready func()) error {
	ready()
	for {
		told := make(chan<- error, 1) // nobody waits for it
		select {
		case <-ctx.Done():
			return nil
		case <-r.hup:
		case told = <-r.d.reloads:
		}
		r.d.tell(systemd.Reloading)
		p, err := r.d.reread()
		told <- err // it has room
		if err != nil {
			r.d.logKept(err)
			r.d.tell(systemd.Ready)
			continue
		}
		r.d.log.Info("configuration reloaded", "watches", len(p.cfg.Watches))
		r.next <- p
		r.stop()
		return nil
	}
}

// reload reads the configuration again, as SIGHUP does, and gives why the old one
// stays. Any goroutine may call it.
func (d *daemon) reload(ctx context.Context) error {
	told := make(chan error, 1)
	select {
	case d.reloads <- told:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reread reads and checks a new configuration, and tries all that could keep
// it from working, while the old one still does.
func (d *daemon) reread() (plan, error) {
	cfg, err := readConfig(d.path)
	if err != nil {
		return plan{}, err
	}
	if diff := config.Diff(d.cfg, cfg); len(diff.Restart) > 0 {
		return plan{}, fmt.Errorf("%s cannot change while running; restart for that",
			strings.Join(diff.Restart, " and "))
	}
	db, err := d.loadDatabase(cfg)
	if err != nil {
		return plan{}, err
	}
	if _, err := newSensor(cfg, db, d.store, d.machine, d.log); err != nil {
		return plan{}, err
	}
	if err := d.checkOutputs(cfg); err != nil {
		return plan{}, err
	}
	return plan{cfg, db}, nil
}

// logKept tells why a new configuration was not taken, one mistake a line.
func (d *daemon) logKept(err error) {
	var mistakes config.Errors
	if !errors.As(err, &mistakes) {
		d.log.Error("configuration not reloaded, the old one stays", "err", err)
		return
	}
	for _, m := range mistakes {
		d.log.Error("configuration has a mistake", "err", m)
	}
	d.log.Error("configuration not reloaded, the old one stays", "mistakes", len(mistakes))
}

// loadDatabase loads what command line and configuration say. The daemon goes
// without the lines of a user's file that have mistakes, after saying so, and
// refuses to start on mistakes in the built-in one.
func (d *daemon) loadDatabase(cfg *config.Config) (*probes.Database, error) {
	chosen := chosenDatabase(&cfg.Database, d.databases)
	sources, err := chosen.sources()
	if err != nil {
		return nil, err
	}
	if sources, err = probes.Complete(sources); err != nil {
		return nil, err
	}
	db, err := probes.LoadWithout(chosen.disable, sources...)
	if err == nil {
		return db, nil
	}
	if _, bad := loadDatabase(nil); bad != nil {
		return nil, fmt.Errorf("built-in database: %w", bad)
	}
	var problems probes.Problems
	errors.As(err, &problems)
	for _, p := range problems {
		d.log.Error("probe file has a mistake, the line is left out", "at", p.Pos.String(), "reason", p.Text)
	}
	return db, nil
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
		r.d.tell(func() error {
			return systemd.Status(fmt.Sprintf("%d watches, discovery by %s", len(r.d.cfg.Watches), r.d.discovery.name))
		})
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}
