package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"go4.org/netipx"

	"sonde/config"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/sensor"
	"sonde/daemon/internal/sent"
	"sonde/daemon/internal/task"
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
	all.UnverifiedAfter = c.UnverifiedAfter
	all.UnstableSwings, all.UnstableOf, all.StableAfter = c.UnstableAlternations, c.UnstableOf, c.StableAfter
	all.MassHosts, all.MassPercent = c.MassHosts, c.MassPercent
	all.MassWindow, all.MassHold = c.MassWindow, c.MassHold
	all.AlikeEndpoints = c.AlikeEndpoints
	perWatch := map[string]inventory.Rules{}
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		own := all
		if w.GoneAfter > 0 {
			own.GoneAfter = w.GoneAfter
		}
		if own.Dynamic = w.Addresses == config.Dynamic; own != all {
			perWatch[w.Name] = own
		}
	}
	return all, perWatch
}

// A machine is what the sensor of `sonde run` works with beside its configuration.
// All but sent outlives that.
type machine struct {
	loops   []engine.Loop // of all visits
	sockets func() engine.Stats
	busy    func() time.Duration // of the loops, see engine.Engine
	net     *network
	beat    func()      // see sensor.Config
	held    func() bool // see sensor.Config
	seed    uint64      // of the rhythm of visits, this sensor's own
	// probesSince is when the probes that are sent were others last; zero: never.
	probesSince time.Time
	orders      sensor.Orders
	outputs     func(context.Context) map[string]int
	sent        *sent.Log // nil: none is kept
}

// parts are what works under one configuration, to be closed after it.
type parts struct {
	sensor   *sensor.Sensor
	listener *listener  // nil: none
	ways     *wayfinder // nil: routes cannot be read
	visitors *visitors
	sweeps   *sweeps
	books    map[string]*hostBook // by watch: hosts of networks that are not walked
}

// tasks are the parts that run.
func (p *parts) tasks() []task.Task {
	list := []task.Task{p.sensor}
	if p.ways != nil {
		list = append(list, p.ways)
	}
	if p.listener != nil {
		list = append(list, p.listener)
	}
	return list
}

// close ends all visits and sweeps and waits until nothing of them is left.
func (p *parts) close() error {
	p.visitors.close()
	return p.sweeps.Close()
}

// newSensor builds what does the work of `sonde run`. It opens nothing yet.
func newSensor(cfg *config.Config, db *probes.Database, store sensor.Inventory, m machine,
	log *slog.Logger) (*parts, error) {
	l := ofConfig(&cfg.Limits)
	lim, err := l.limiter()
	if err != nil {
		return nil, err
	}
	how, err := m.net.method(cfg.Discovery.Method)
	if err == nil {
		err = mayBind(cfg)
	}
	if err != nil {
		return nil, err
	}
	gate := cfg.Gate()
	scope := scope{gate, log}
	p := &parts{books: map[string]*hostBook{}, visitors: newVisitors(scope.loops(m.loops), &l, lim, db, cfg.Database.Intensity, cfg.Identity, log)}
	p.visitors.guard, p.visitors.contacts = m.net.guardBy, contactsTo(m.sent)
	if p.sweeps, err = newSweeps(cfg, how, m.net, lim, db, m.sent, log); err != nil {
		return nil, err
	}
	if m.net.routes != nil {
		p.ways = newWayfinder(cfg, m.net, log)
	}
	sc := sensor.Config{Inventory: store, Visits: l.visits(), HostVisits: l.perHost(),
		ProbesSince: m.probesSince, Alike: cfg.Confirm.AlikeEndpoints,
		Elapsed: elapsed, Seed: m.seed, Orders: m.orders, HeartbeatEvery: cfg.Output.HeartbeatEvery,
		Quarantine: sensor.DefaultQuarantine, Fingerprint: marks(cfg.Database.Intensity), Careful: lim.Careful,
		Sockets: m.sockets, Discovery: p.counts, Outputs: m.outputs, Now: time.Now, Beat: m.beat,
		Held: m.held, Log: log}
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		sw, err := p.watch(cfg, w, how, db)
		if err != nil {
			return nil, err
		}
		discover := scope.sweeper(wiredDiscoverer{discoverer: p.sweeps.of(laneOf(w)),
			outages: m.net.outages, via: w.Interface, connects: how.name == config.Connect})
		sw.Sweeper, sw.Looker = discover, discover
		sw.Target = func(a netip.Addr) sensor.Reach { return m.net.target(a, w.Interface) }
		p.searchOf(cfg, w, &sw, m.net, lim, gate, m.sent, log)
		sw.Visitor = wiredVisitor{sw.Visitor, m.net.outages, w.Interface}
		sw.Careful = wiredVisitor{sw.Careful, m.net.outages, w.Interface}
		sc.Watches = append(sc.Watches, sw)
	}
	p.sensor = sensor.New(sc)
	p.listener, err = newListener(cfg, m.net, gate, p, log)
	return p, err
}

// watch turns one watch of the configuration into what the loop needs, but for
// its discovery.
func (p *parts) watch(cfg *config.Config, w *config.Watch, how method, db *probes.Database) (sensor.Watch, error) {
	manner := mannerOf(w)
	sw, err := newWatch(cfg, w, how, db, manner.allow.Needs())
	if err != nil {
		return sw, err
	}
	v, err := p.visitors.of(manner)
	if err != nil {
		return sw, err
	}
	manner.careful = true
	careful, err := p.visitors.of(manner)
	sw.Visitor, sw.Careful = v, careful
	return sw, err
}

// counts tells what discovery and listening did, for the heartbeat.
func (p *parts) counts() map[string]int {
	counts := map[string]int{}
	p.sweeps.count(counts)
	if p.listener != nil {
		s := p.listener.watcher.Stats()
		counts["sightings"] = tallied(s.Sightings)
		counts["sightings_suppressed"] = tallied(s.Suppressed + s.Untaken)
		counts["frames_dropped"] = tallied(s.KernelDropped + s.Sampled)
	}
	return counts
}

// marks gives what writes the fingerprints that the inventory keeps. Like the
// evidence beside them they show answers as they were: they stay on this
// machine until somebody hands them in.
func marks(intensity int) func(*probes.Observation) string {
	how := fingerprintSettings(intensity)
	return func(o *probes.Observation) string { return fingerprint.Of(o, how) }
}

// newWatch turns one watch of the configuration into what the loop needs.
func newWatch(cfg *config.Config, w *config.Watch, how method, db *probes.Database, allow probes.Needs) (sensor.Watch, error) {
	scope := cfg.Scope(w)
	if _, far := scope.SplitLoopback(); far.Len() == 0 {
		how.name = config.Connect
	}
	out := sensor.Watch{
		Name: w.Name, Zone: w.Zone, VerifyEvery: w.VerifyEvery, ReclimbEvery: w.ReclimbEvery, Names: w.NamesOf,
		Contains: func(a netip.Addr, t probes.Transport, port uint16) bool {
			list := ports.List{TCP: w.TCPPorts, UDP: w.UDPPorts}
			return scope.Contains(a) && list.Contains(string(t), port)
		},
	}
	if len(w.ActiveHours.Spans) > 0 {
		out.Hours = w.ActiveHours
	}
	plans, err := plansOf(cfg.Walked(w), ports.List{TCP: w.TCPPorts, UDP: w.UDPPorts})
	if err != nil {
		return out, fmt.Errorf("watch %s: %w", w.Name, err)
	}
	for _, p := range plans {
		t := probes.Transport(p.Network)
		list := ports.List{TCP: w.TCPPorts, UDP: w.UDPPorts}
		out.Sweeps = append(out.Sweeps, sensor.Sweep{
			Transport: t, Every: w.DiscoverEvery, Plan: p,
			Pass: inventory.Pass{Watch: w.Name, Zone: w.Zone, Method: methodOf(how, t, w, db, allow),
				Targets: prefixes(scope), Ports: list.Of(p.Network).String()},
		})
	}
	return out, nil
}

// methodOf names how a sweep finds ports: a pass proves absence only for a
// later one of the same method. For UDP the payloads are part of it, and so is
// the interface of the watch: behind another one may be another network.
func methodOf(how method, t probes.Transport, w *config.Watch, db *probes.Database, allow probes.Needs) string {
	by := ""
	if w.Interface != "" {
		by = "@" + w.Interface
	}
	if t == probes.TCP {
		return how.name + by
	}
	h := sha256.New()
	for port := range w.UDPPorts.All() {
		for _, p := range db.UDPPayloads(port, allow) {
			fmt.Fprintf(h, "%d %d ", port, len(p.Payload))
			h.Write(p.Payload)
		}
	}
	sum := hex.EncodeToString(h.Sum(nil)[:8])
	if how.name == config.SYN {
		return "raw-udp:" + sum + by
	}
	return "udp:" + sum + by
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

// seedOf gives each sensor a rhythm of its own.
func seedOf(uuid string) uint64 {
	sum := sha256.Sum256([]byte("rhythm of visits of sensor " + uuid))
	return binary.LittleEndian.Uint64(sum[:])
}
