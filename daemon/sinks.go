package main

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"sonde/config"
	"sonde/daemon/internal/control"
	"sonde/daemon/internal/emit"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/task"
)

// An output is one destination of events under one configuration.
type output struct {
	name    string
	target  string // for the log
	backlog int    // events it may be behind; 0: any number
	open    func(*daemon) (emit.Sink, error)

	// everything says that a new sink is told what was before it; others begin
	// with what comes: a receiver does not want the history of the last year.
	everything bool
}

// outputs lists what the configuration and the terminal ask for.
func (d *daemon) outputs(cfg *config.Config) []output {
	var list []output
	out := &cfg.Output
	if j := &out.JSON; j.Enabled {
		list = append(list, output{"json", j.Path, j.MaxBacklog,
			func(d *daemon) (emit.Sink, error) { return d.jsonFile(j) }, true})
	}
	for i := range out.Syslog {
		s := &out.Syslog[i]
		if !s.Enabled {
			continue
		}
		sc := syslogConfig(cfg, s)
		list = append(list, output{sc.Name, s.Target.String(), s.MaxBacklog,
			func(*daemon) (emit.Sink, error) { return emit.NewSyslog(sc), nil }, false})
	}
	if j := &out.Journal; j.Enabled {
		list = append(list, output{emit.JournalName, emit.JournalSocket, j.MaxBacklog,
			func(*daemon) (emit.Sink, error) { return emit.NewJournal(emit.JournalSocket), nil }, false})
	}
	if isTerminal(d.stderr) {
		list = append(list, output{emit.TerminalName, "stderr", 0,
			func(d *daemon) (emit.Sink, error) { return emit.NewTerminal(d.stderr), nil }, false})
	}
	return list
}

// beginCursors lets a sink that is new begin with what comes. It is called
// before anything is recorded, so that no event falls between.
func (d *daemon) beginCursors(ctx context.Context) error {
	cursors, err := d.store.Cursors(ctx)
	if err != nil {
		return err
	}
	last, err := d.store.LastSeq(ctx)
	if err != nil {
		return err
	}
	for _, o := range d.outputs(d.cfg) {
		_, known := cursors[o.name]
		if o.name == emit.TerminalName && !d.started {
			known = false // what an earlier run told is history
		}
		if known || o.everything {
			continue
		}
		if err := d.store.SetCursor(ctx, o.name, last); err != nil {
			return err
		}
		d.sinkOf(o.name).begun = last
	}
	return nil
}

// goOnWithOutages takes up what was told of sinks before a restart, so that the
// end of it is told too.
func (d *daemon) goOnWithOutages(ctx context.Context) error {
	outages, err := d.store.Outages(ctx)
	if err != nil {
		return err
	}
	for name, o := range outages {
		d.sinkOf(name).health.GoOn(o.Since, o.Lost)
	}
	return nil
}

// drains makes one task per configured sink, and forgets the cursors of those
// that are no longer configured. The snapshot begins after loaded: what is wanted
// first is a sensor that works.
func (d *daemon) drains(loaded <-chan struct{}) ([]task.Task, error) {
	var tasks []task.Task
	names := map[string]bool{}
	for _, o := range d.outputs(d.cfg) {
		s, err := o.open(d)
		if err != nil {
			return nil, err
		}
		if o.name != emit.TerminalName {
			d.log.Info("events go to a sink", "sink", o.name, "target", o.target)
		}
		names[o.name] = true
		at := d.sinkOf(o.name)
		tasks = append(tasks, &emit.Drain{Source: outbox{d.store}, Sink: s, Epoch: d.store.Epoch(),
			Wake: at.wake, Reopen: at.reopen, Health: at.health, MaxBacklog: int64(o.backlog), Begun: at.begun,
			Log: d.log, FlushTimeout: flushTimeout})
	}
	if i := &d.cfg.Output.Inventory; i.Enabled {
		tasks = append(tasks, &emit.Snapshot{Path: i.Path, Every: i.Every, Sensor: d.store.Sensor(),
			Epoch: d.store.Epoch(), LastSeq: d.store.LastSeq, Services: services(d.store.Reader),
			Now: time.Now, After: loaded, MaxSize: i.MaxSize, Log: d.log,
			Room: func() error { return roomFor(filepath.Dir(i.Path), 0, d.cfg.State.MinFree) }})
	}
	return tasks, d.dropCursors(names)
}

// sinkState is what of a sink outlives a configuration.
type sinkState struct {
	wake   <-chan struct{} // from the store
	reopen chan struct{}   // holds one
	health *emit.Health
	begun  int64 // the number of the last event before its first one; 0: not known
}

// sinkOf gives the state of a sink, the same in each generation.
func (d *daemon) sinkOf(name string) *sinkState {
	d.sinksMu.Lock()
	defer d.sinksMu.Unlock()
	if d.sinks == nil {
		d.sinks = map[string]*sinkState{}
	}
	if d.sinks[name] == nil {
		d.sinks[name] = &sinkState{wake: d.store.Wake(), reopen: make(chan struct{}, 1), health: new(emit.Health)}
	}
	return d.sinks[name]
}

// reopenOutputs lets every sink whose destination may have been moved away
// open it anew.
func (d *daemon) reopenOutputs() {
	d.sinksMu.Lock()
	defer d.sinksMu.Unlock()
	for _, s := range d.sinks {
		select {
		case s.reopen <- struct{}{}:
		default: // it is told already
		}
	}
}

// outputsOf gives what tells how the outputs of a configuration do, whoever asks.
func (d *daemon) outputsOf(cfg *config.Config, store *inventory.Store) func(context.Context) ([]control.Output, error) {
	return func(ctx context.Context) ([]control.Output, error) {
		cursors, err := store.Cursors(ctx)
		last, err2 := store.LastSeq(ctx)
		if err := cmp.Or(err, err2); err != nil {
			return nil, err
		}
		d.sinksMu.Lock()
		defer d.sinksMu.Unlock()
		list := []control.Output{}
		for _, o := range d.outputs(cfg) {
			cursor, begun := cursors[o.name]
			s := d.sinks[o.name]
			if s == nil || !begun || o.name == emit.TerminalName {
				continue
			}
			h := s.health.Report()
			list = append(list, control.Output{Name: o.name, Target: o.target, Down: h.Down, Since: h.Since.UTC(),
				Backlog: last - cursor, Failures: h.Failures, Dropped: h.Dropped})
		}
		return list, nil
	}
}

// countOutputs counts for the heartbeat how far the outputs are behind, and what
// went wrong with them since the start.
func (d *daemon) countOutputs(ctx context.Context) map[string]int {
	counts := map[string]int{}
	list, err := d.outputsOf(d.cfg, d.store)(ctx)
	if err != nil {
		d.log.Warn("outputs not counted", "err", err)
	}
	for i := range list {
		o := &list[i]
		counts[o.Name+".backlog"] = int(o.Backlog)
		counts[o.Name+".failures"], counts[o.Name+".dropped"] = o.Failures, int(o.Dropped)
	}
	return counts
}

func (d *daemon) jsonFile(out *config.JSON) (*emit.JSONFile, error) {
	return emit.NewJSONFile(emit.JSONFileConfig{Path: out.Path, Format: emit.Format(out.Format),
		MaxSize: out.MaxSize, Keep: out.Keep, Sensor: d.store.Sensor(), Now: time.Now, Log: d.log})
}

// checkOutputs tries whether the events file can be written, and whether what
// connections are secured by is there. Receivers may start later than we do.
func (d *daemon) checkOutputs(cfg *config.Config) error {
	if _, err := checkSecrets(cfg); err != nil {
		return err
	}
	if !cfg.Output.JSON.Enabled {
		return nil
	}
	f, err := d.jsonFile(&cfg.Output.JSON)
	if err != nil {
		return err
	}
	return f.Close()
}

func (d *daemon) dropCursors(but map[string]bool) error {
	ctx := context.Background()
	cursors, err := d.store.Cursors(ctx)
	if err != nil {
		return err
	}
	for name := range cursors {
		if !but[name] {
			if err := d.store.DropCursor(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}
