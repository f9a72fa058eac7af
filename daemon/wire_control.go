package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"sonde/config"
	"sonde/daemon/internal/control"
	"sonde/daemon/internal/sensor"
	"sonde/daemon/internal/task"
	"sonde/probes"
	"sonde/systemd"
)

// stallAfter is how long the loop may take to come round where no watchdog says
// so: it does at least every second.
const stallAfter = 30 * time.Second

// A pulse remembers when the loop came round last.
type pulse struct{ last atomic.Int64 } // since pulseZero

// pulseZero lets times be kept as numbers of a clock that nobody sets.
var pulseZero = time.Now()

// feed gives what the loop calls, which also calls feed unless that is nil.
func (p *pulse) feed(feed func()) func() {
	return func() {
		p.beat()
		if feed != nil {
			feed()
		}
	}
}

func (p *pulse) beat() { p.last.Store(int64(time.Since(pulseZero))) }

// at is when it was felt last.
func (p *pulse) at() time.Time { return pulseZero.Add(time.Duration(p.last.Load())) }

// openControl lets people and programs of this machine ask the daemon, until the
// function that it returns is called.
func (d *daemon) openControl(ctx context.Context) (end func() error, err error) {
	c := &d.cfg.Control
	handed, err := systemd.Listeners()
	if err != nil {
		return nil, err
	}
	if !c.Enabled {
		return func() error { return nil }, closeAll(handed)
	}
	cfg := control.Config{Version: version, Started: time.Now(), Beat: d.pulse.at, StallAfter: stallAfter,
		Reload: d.reload, Log: d.log}
	if every, err := systemd.WatchdogInterval(); err == nil && every > 0 {
		cfg.StallAfter = 2 * every
	}
	cfg.Hanging = func() (string, time.Duration) { return d.hanging(cfg.StallAfter / 2) }
	open := &sockets{dir: c.Directory, handed: handed}
	cfg.Read = open.get("read", config.ReadSocket, c.ReadGroup)
	cfg.Act = open.get("act", config.ActSocket, c.ActGroup)
	if c.Listen.IsValid() {
		cfg.Local = open.local(c.Listen.String())
	}
	for name := range handed {
		d.log.Warn("the service manager hands over a socket that has no use", "name", name, "known", "read, act")
	}
	if err := errors.Join(open.err, closeAll(handed)); err != nil {
		return nil, errors.Join(err, open.close())
	}
	d.pulse.beat()
	d.control = control.NewServer(cfg)
	ctx, stop := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := d.control.Run(ctx, func() {}); err != nil {
			d.log.Error("nobody can ask the daemon any more", "err", err)
		}
	}()
	restored := make(chan struct{})
	go func() {
		defer close(restored)
		task.Every(ctx, restoreEvery, func(context.Context) { open.restore(d.log) })
	}()
	d.log.Info("the daemon can be asked", "socket", cfg.Read.Addr(), "listen", c.Listen)
	return func() error { stop(); <-over; <-restored; return open.close() }, nil
}

// restoreEvery is how often the sockets are looked at, whose files go when a file
// system is mounted over them, or by somebody who cleans up.
const restoreEvery = 5 * time.Second

// sockets opens what the server listens on.
type sockets struct {
	dir    string
	handed map[string]net.Listener // by the service manager; taken out when used
	own    *control.Directory      // nil: not needed so far
	opened []io.Closer
	err    error // the first
	ill    bool  // the last try to restore them failed
}

// restore makes sockets of our own anew that are gone.
func (s *sockets) restore(log *slog.Logger) {
	if s.own == nil {
		return
	}
	restored, err := s.own.Restore()
	switch {
	case err != nil && !s.ill:
		log.Warn("the daemon cannot be asked, its sockets are gone", "err", err, "tried_every", restoreEvery)
	case restored:
		log.Info("the sockets were gone and are there again", "directory", s.dir)
	}
	s.ill = err != nil
}

// get gives the socket of a name that the service manager handed over, or opens
// it.
func (s *sockets) get(name, file, group string) net.Listener {
	if l := s.handed[name]; l != nil {
		delete(s.handed, name)
		return s.keep(l, nil)
	}
	if s.err == nil && s.own == nil {
		s.own, s.err = control.OpenDirectory(s.dir)
	}
	if s.err != nil {
		return nil
	}
	return s.keep(s.own.Listen(file, group))
}

// local listens on a loopback address.
func (s *sockets) local(address string) net.Listener {
	if s.err != nil {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		err = fmt.Errorf("control.listen: %w; choose another port", err)
	}
	return s.keep(l, err)
}

func (s *sockets) keep(l net.Listener, err error) net.Listener {
	if err != nil {
		s.err = errors.Join(s.err, err)
		return nil
	}
	s.opened = append(s.opened, l)
	return l
}

// close closes what the server has not closed, and lets others have the
// directory.
func (s *sockets) close() error {
	var err error
	for _, l := range s.opened {
		if e := l.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	if s.own != nil {
		err = errors.Join(err, s.own.Close())
	}
	return err
}

func closeAll(list map[string]net.Listener) error {
	var err error
	for _, l := range list {
		err = errors.Join(err, l.Close())
	}
	return err
}

// lend has those who ask hear of the sensor that works now, nil for none.
func (d *daemon) lend(s *sensor.Sensor) {
	if d.control == nil {
		return
	}
	if s == nil {
		d.control.Use(nil)
		return
	}
	d.pulse.beat()
	without, reason := d.missing()
	g := &control.Generation{Sensor: s, Store: d.store, Orders: d.orders, Database: d.db,
		Discovery: control.Discovery{Method: d.discovery.name, Reason: reason, Without: without},
		Asks:      asksOf(d.cfg), Zones: zonesOf(d.cfg), BestEffort: map[string]bool{}, Hours: map[string]func(time.Time) (bool, time.Time){}, Outputs: d.outputsOf(d.cfg, d.store)}
	for i := range d.cfg.Watches {
		w := &d.cfg.Watches[i]
		g.Watches = append(g.Watches, w.Name)
		if w.BestEffort {
			g.BestEffort[w.Name] = true
		}
		if len(w.ActiveHours.Spans) > 0 {
			g.Hours[w.Name] = w.ActiveHours.At
		}
	}
	d.control.Use(g)
}

// asksOf gives what tells which watches ask an endpoint, and why none does.
func asksOf(cfg *config.Config) func(probes.Transport, netip.Addr, uint16) ([]control.Asker, string) {
	gate := cfg.Gate()
	return func(t probes.Transport, a netip.Addr, port uint16) (list []control.Asker, why string) {
		for _, w := range gate.Watches(string(t), a, port) {
			list = append(list, control.Asker{Watch: w.Name, Zone: w.Zone, Manner: control.Manner{
				Allow: mannerOf(w).allow.Needs(), Intensity: cfg.Database.Intensity}})
		}
		of := gate.WatchesOf(a)
		switch {
		case len(list) > 0:
			return list, ""
		case cfg.Excluded.Contains(a.Unmap()):
			return nil, "an exclude names this address"
		case len(of) > 0:
			return nil, fmt.Sprintf("watch %s has this address, and not this port", of[0].Name)
		default:
			return nil, "no watch has this address"
		}
	}
}

// zonesOf gives what tells in which zones an address is watched.
func zonesOf(cfg *config.Config) func(netip.Addr) []string {
	gate := cfg.Gate()
	return func(a netip.Addr) (zones []string) {
		for _, w := range gate.WatchesOf(a) {
			zones = append(zones, w.Zone)
		}
		return zones
	}
}

var _ control.Sensor = (*sensor.Sensor)(nil)
