package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"go4.org/netipx"

	"sonde/config"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/fingerprint"
	"sonde/probes/ports"
)

// rulesOf gives the numbers behind each decision, and those of the watches
// that have their own.
func rulesOf(cfg *config.Config) (inventory.Rules, map[string]inventory.Rules) {
	c := cfg.Confirm
	all := inventory.DefaultRules()
	all.NewVisits, all.NewSpacing = c.NewVisits, c.NewSpacing
	all.ChangedVisits, all.ChangedOver = c.ChangedVisits, c.ChangedOver
	all.ClosedVisits, all.ClosedAfter = c.ClosedVisits, c.ClosedAfter
	all.FilteredVisits, all.GoneAfter = c.FilteredVisits, c.GoneAfter
	perWatch := map[string]inventory.Rules{}
	for i := range cfg.Watches {
		if w := &cfg.Watches[i]; w.GoneAfter > 0 {
			own := all
			own.GoneAfter = w.GoneAfter
			perWatch[w.Name] = own
		}
	}
	return all, perWatch
}

// A machine is what of `sonde run` outlives a configuration and its sensor works
// with.
type machine struct {
	loops   []engine.Loop // of all visits
	sockets func() engine.Stats
	net     *network
	beat    func() // see sensor.Config
}

// newSensor builds the loop that does the work of `sonde run`, and what visits
// for it on the engine's loops, which is to be closed after it.
func newSensor(cfg *config.Config, db *probes.Database, store sensor.Inventory, m machine,
	log *slog.Logger) (*sensor.Sensor, *visitors, error) {
	l := ofConfig(&cfg.Limits)
	lim, err := l.limiter()
	if err != nil {
		return nil, nil, err
	}
	scope := scope{cfg.Gate(), log}
	vs := newVisitors(scope.loops(m.loops), &l, lim, db, cfg.Database.Intensity, cfg.Identity, log)
	sc := sensor.Config{Inventory: store, Visits: l.visits(), HeartbeatEvery: cfg.Output.HeartbeatEvery,
		Quarantine: sensor.DefaultQuarantine, Fingerprint: marks(cfg.Database.Intensity), Careful: lim.Careful,
		Sockets: m.sockets, Now: time.Now, Beat: m.beat, Log: log}
	sweeps := 0 // that may run at once: one per watch and transport
	for i := range cfg.Watches {
		for _, set := range []ports.Set{cfg.Watches[i].TCPPorts, cfg.Watches[i].UDPPorts} {
			if !set.IsEmpty() {
				sweeps++
			}
		}
	}
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		how := mannerOf(w)
		allow := how.allow
		v, err := vs.of(how)
		if err != nil {
			return nil, nil, err
		}
		sw, err := newWatch(cfg, w, db, allow.Needs())
		if err != nil {
			return nil, nil, err
		}
		sw.Visitor = v
		how.careful = true
		if sw.Careful, err = vs.of(how); err != nil {
			return nil, nil, err
		}
		connect := scope.sweeper(newSweeper(&l, sweeps, m.net, lim, db, allow.Needs(), log))
		sw.Sweeper, sw.Looker = connect, connect
		sc.Watches = append(sc.Watches, sw)
	}
	return sensor.New(sc), vs, nil
}

// marks gives what writes the fingerprints that the inventory keeps. Like the
// evidence beside them they show answers as they were: they stay on this
// machine until somebody hands them in.
func marks(intensity int) func(*probes.Observation) string {
	how := fingerprintSettings(intensity)
	return func(o *probes.Observation) string { return fingerprint.Of(o, how) }
}

// newWatch turns one watch of the configuration into what the loop needs.
func newWatch(cfg *config.Config, w *config.Watch, db *probes.Database, allow probes.Needs) (sensor.Watch, error) {
	scope := cfg.Scope(w)
	out := sensor.Watch{
		Name: w.Name, Zone: w.Zone, VerifyEvery: w.VerifyEvery, Names: w.NamesOf,
		Contains: func(a netip.Addr, t probes.Transport, port uint16) bool {
			list := ports.List{TCP: w.TCPPorts, UDP: w.UDPPorts}
			return scope.Contains(a) && list.Contains(string(t), port)
		},
	}
	plans, err := plansOf(scope, ports.List{TCP: w.TCPPorts, UDP: w.UDPPorts})
	if err != nil {
		return out, fmt.Errorf("watch %s: %w", w.Name, err)
	}
	for _, p := range plans {
		t := probes.Transport(p.Network)
		list := ports.List{TCP: w.TCPPorts, UDP: w.UDPPorts}
		out.Sweeps = append(out.Sweeps, sensor.Sweep{
			Transport: t, Every: w.DiscoverEvery, Plan: p,
			Pass: inventory.Pass{Watch: w.Name, Zone: w.Zone, Method: methodOf(t, w.UDPPorts, db, allow),
				Targets: prefixes(scope), Ports: list.Of(p.Network).String()},
		})
	}
	return out, nil
}

// methodOf names how a sweep finds ports: a pass proves absence only for a
// later one of the same method. For UDP the payloads are part of it.
func methodOf(t probes.Transport, udp ports.Set, db *probes.Database, allow probes.Needs) string {
	if t == probes.TCP {
		return "connect"
	}
	h := sha256.New()
	for port := range udp.All() {
		for _, p := range db.UDPPayloads(port, allow) {
			fmt.Fprintf(h, "%d %d ", port, len(p.Payload))
			h.Write(p.Payload)
		}
	}
	return "udp:" + hex.EncodeToString(h.Sum(nil)[:8])
}

// prefixes covers the addresses of a scope exactly, but for the interfaces of
// link-local ones, which no prefix can name.
func prefixes(s config.AddrSet) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range s.Ranges() {
		out = append(out, netipx.IPRangeFrom(r.First.WithZone(""), r.Last.WithZone("")).Prefixes()...)
	}
	return out
}
