package main

import (
	"context"
	"time"

	"sonde/config"
	"sonde/daemon/internal/emit"
	"sonde/daemon/internal/task"
)

// beginCursors lets a sink that is new begin with what comes: a receiver does
// not want to be told of the last year. The JSON file alone has everything. It
// is called before anything is recorded, so that no event falls between.
func (d *daemon) beginCursors(ctx context.Context) error {
	cursors, err := d.store.Cursors(ctx)
	if err != nil {
		return err
	}
	last, err := d.store.LastSeq(ctx)
	if err != nil {
		return err
	}
	begins := map[string]bool{}
	if _, known := cursors[emit.SyslogName]; d.cfg.Output.Syslog.Enabled && !known {
		begins[emit.SyslogName] = true
	}
	if _, known := cursors[emit.TerminalName]; isTerminal(d.stderr) && (!known || !d.started) {
		begins[emit.TerminalName] = true // what an earlier run told is history
	}
	for name := range begins {
		if err := d.store.SetCursor(ctx, name, last); err != nil {
			return err
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
		s, err := d.jsonFile(&out.JSON)
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
			Wake: d.wake(s.Name()), Log: d.log, FlushTimeout: flushTimeout})
	}
	return tasks, d.dropCursors(sinks)
}

// wake gives the channel that wakes a sink's task, the same in each generation.
func (d *daemon) wake(sink string) <-chan struct{} {
	if d.wakes[sink] == nil {
		d.wakes[sink] = d.store.Wake()
	}
	return d.wakes[sink]
}

func (d *daemon) jsonFile(out *config.JSON) (*emit.JSONFile, error) {
	return emit.NewJSONFile(emit.JSONFileConfig{Path: out.Path, MaxSize: out.MaxSize,
		Keep: out.Keep, Sensor: d.store.Sensor(), Now: time.Now, Log: d.log})
}

// checkOutputs tries whether the events file can be written. The others take
// what comes: a syslog daemon may start later than we do.
func (d *daemon) checkOutputs(cfg *config.Config) error {
	if !cfg.Output.JSON.Enabled {
		return nil
	}
	f, err := d.jsonFile(&cfg.Output.JSON)
	if err != nil {
		return err
	}
	return f.Close()
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
