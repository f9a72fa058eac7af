package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"sonde/capture/link"
	"sonde/capture/passive"
	"sonde/config"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
	"sonde/probes/ports"
)

// A listener hands to the sensor what passes by on the wire.
type listener struct {
	watcher *passive.Watcher
	gate    *config.Gate
	sensor  *sensor.Sensor
	books   map[string]*hostBook
	log     *slog.Logger
}

// listens says whether a configuration wants to listen, and watches something
// that passes on a wire.
func listens(cfg *config.Config) bool {
	wired := false
	for i := range cfg.Watches {
		_, far := cfg.Scope(&cfg.Watches[i]).SplitLoopback()
		wired = wired || far.Len() > 0
	}
	return cfg.Passive.Enabled && wired
}

// newListener makes the listener of a configuration, or nil where it wants
// none, or may not have one.
func newListener(cfg *config.Config, net *network, gate *config.Gate, p *parts, log *slog.Logger) (*listener, error) {
	if !listens(cfg) || net.capture != nil {
		return nil, nil
	}
	var udp ports.Set
	for i := range cfg.Watches {
		udp = udp.Union(cfg.Watches[i].UDPPorts)
	}
	own := cfg.Discovery.SourcePorts
	w, err := passive.New(passive.Config{Interfaces: cfg.Passive.Interfaces,
		Promiscuous: len(cfg.Passive.Interfaces) > 0, // as at a mirror port
		Overlaps:    gate.Overlaps,
		Contains:    within(gate), UDPPorts: rangesOf(udp),
		OwnPorts: passive.Range{Lo: own.First, Hi: own.Last}, Log: log})
	if err != nil {
		return nil, err
	}
	return &listener{w, gate, p.sensor, p.books, log}, nil
}

// mostRanges is how many ranges of UDP ports the filter of a capture takes.
const mostRanges = 64

// rangesOf gives the ranges of a set, the last ones as one where there are too
// many: what is too much is dropped later.
func rangesOf(set ports.Set) (out []passive.Range) {
	for r := range set.Ranges() {
		if len(out) == mostRanges {
			out[mostRanges-1].Hi = r.Last
			continue
		}
		out = append(out, passive.Range{Lo: r.First, Hi: r.Last})
	}
	return out
}

// within says whether an endpoint is in the scope, or with port 0 a host.
func within(gate *config.Gate) passive.Contains {
	return func(a netip.Addr, network string, port uint16) bool {
		if port == 0 {
			return gate.Host(a)
		}
		return gate.Permits(network, a, port)
	}
}

// Name implements task.Task.
func (*listener) Name() string { return "passive" }

// Run implements task.Task. Without the permission to capture there is nothing
// to be heard, which is no reason to stop.
func (l *listener) Run(ctx context.Context, ready func()) error {
	ready() // to listen is a help, which nothing waits for
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.watcher.Run(ctx, func() {}) }()
	for {
		select {
		case s := <-l.watcher.Sightings():
			l.tell(&s)
		case err := <-ended:
			if errors.Is(err, link.ErrNoPermission) || errors.Is(err, link.ErrUnsupported) {
				l.log.Info("not listening to what passes by", "reason", err)
				return nil
			}
			return err
		}
	}
}

// tell hands over a sighting: of a service, and in any case of its host. A watch
// with an interface takes those of that one only, as the same address may be
// another host elsewhere.
func (l *listener) tell(s *passive.Sighting) {
	a, port := s.AddrPort.Addr(), s.AddrPort.Port()
	if port != 0 {
		for _, w := range l.gate.Watches(s.Network, a, port) {
			if reaches(w, s) {
				l.sensor.Sighted(w.Name, a, probes.Transport(s.Network), port)
			}
		}
	}
	for _, w := range l.gate.WatchesOf(a) {
		if !reaches(w, s) {
			continue
		}
		if b := l.books[w.Name]; b != nil && b.within.Contains(a) && !b.add(a, false) {
			continue // there is no room for it
		}
		l.sensor.SightedHost(w.Name, a)
	}
}

// reaches says whether a sighting may be of a watch.
func reaches(w *config.Watch, s *passive.Sighting) bool {
	return w.Interface == "" || w.Interface == s.Interface
}
