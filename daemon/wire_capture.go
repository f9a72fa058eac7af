package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"sonde/capture"
	"sonde/capture/onlink"
	"sonde/capture/route"
	"sonde/capture/sweep"
	"sonde/config"
	"sonde/daemon/internal/budget"
)

// A network is this machine's network as discovery uses it. There is one for
// the whole process, over all configurations that it reads.
type network struct {
	routes  *route.Table   // nil where they cannot be read
	guard   *capture.Guard // of the kernel's neighbour table; nil without routes
	capture error          // why no frames can be sent and captured; nil if they can
	outages *outages
}

// openNetwork begins to follow the routes of this machine, where they can be
// read. Close ends it.
func openNetwork(log *slog.Logger) *network {
	routes, err := route.Open(log)
	if err != nil {
		if !errors.Is(err, route.ErrUnsupported) {
			log.Warn("routes cannot be read; the neighbour table is not kept from being filled", "err", err)
		}
		return &network{capture: mayCapture(), outages: newOutages(nil)}
	}
	return &network{routes, capture.NewGuard(onlink.Kernel{Routes: routes}), mayCapture(), newOutages(routes)}
}

// Close ends it.
func (n *network) Close() error {
	if n.routes == nil {
		return nil
	}
	return n.routes.Close()
}

// A method is how open ports are found, and why so.
type method struct {
	name   string // config.SYN or config.Connect
	reason string
}

// method chooses how ports are found. It fails where packets of our own are
// demanded and cannot be sent.
func (n *network) method(want string) (method, error) {
	if want == config.Connect {
		return method{want, "as discovery.method says"}, nil
	}
	err := n.capture
	if err == nil && n.routes == nil {
		err = errors.New("routes cannot be read")
	}
	switch {
	case err == nil:
		return method{config.SYN, "raw sockets are permitted"}, nil
	case want == config.SYN:
		return method{}, fmt.Errorf(`discovery by packets of our own: %w; or choose the method "auto" or "connect"`, err)
	}
	return method{config.Connect, err.Error()}, nil
}

// A packetSweep is discovery by packets. Its source ports and sockets are taken
// when the first sweep begins, so that a configuration can be tried while
// another one is at work, and given back by Close.
type packetSweep struct {
	config sweep.Config
	routes *route.Table

	mu      sync.Mutex // guards what follows
	sweeper *sweep.Sweeper
	finder  *onlink.Finder
	rate    float64 // of the sweep that ended last
	closed  bool
}

// Open takes what sweeps need. It may be called again.
func (p *packetSweep) Open() (*sweep.Sweeper, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	if p.sweeper != nil {
		return p.sweeper, nil
	}
	c := p.config
	finder := onlink.New(onlink.Config{Routes: p.routes, Open: onlink.OpenLink, Log: c.Log})
	c.Routes, c.Neighbors = carried{p.routes}, onlink.Resolver{Finder: finder}
	s, err := sweep.New(c)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; set discovery.source_ports to others", err), finder.Close())
	}
	p.sweeper, p.finder = s, finder
	return s, nil
}

// Sweep implements scan.Sweeper and sensor.Sweeper.
func (p *packetSweep) Sweep(ctx context.Context, plan capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	s, err := p.Open()
	if err != nil {
		return capture.Stats{}, err
	}
	stats, err := s.Sweep(ctx, plan, yield)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = stats.Rate
	return stats, err
}

// totals are the packets since the first sweep; Rate is that of the last one.
func (p *packetSweep) totals() capture.Packets {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweeper == nil {
		return capture.Packets{}
	}
	t := p.sweeper.Totals()
	t.Rate = p.rate
	return t
}

// Close ends all sweeps. It may be called again.
func (p *packetSweep) Close() error {
	p.mu.Lock()
	s, f := p.sweeper, p.finder
	p.sweeper, p.finder, p.closed = nil, nil, true
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	return errors.Join(s.Close(), f.Close())
}

// A splitDiscoverer sweeps by packets what lies on a wire, and by connects this
// machine's loopback, which refuses at once and needs no rate. Few targets are
// looked at by connects.
type splitDiscoverer struct {
	packets  *packetSweep
	connects discoverer
}

// Sweep implements discoverer.
func (d splitDiscoverer) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	set, ok := p.Addrs.(config.AddrSet)
	if !ok {
		return capture.Stats{}, fmt.Errorf("sweep: addresses are a %T", p.Addrs)
	}
	near, far := set.SplitLoopback()
	switch {
	case near.Len() == 0:
		return d.packets.Sweep(ctx, p, yield)
	case far.Len() == 0:
		return d.connects.Sweep(ctx, p, yield)
	}
	// What is near takes seconds, so that it is done first, and whole: the
	// place in the order that a plan begins From is one of the rest.
	q := p
	q.Addrs, q.From, q.Checkpoint = near, 0, nil
	sum, err := d.connects.Sweep(ctx, q, yield)
	if err != nil {
		return sum, err
	}
	p.Addrs = far
	stats, err := d.packets.Sweep(ctx, p, yield)
	return addStats(stats, sum), err
}

// Look implements discoverer.
func (d splitDiscoverer) Look(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error) {
	return d.connects.Look(ctx, targets, yield)
}

// addStats adds what connects did to what packets did.
func addStats(a, b capture.Stats) capture.Stats {
	a.Targets, a.Tries, a.Starved = a.Targets+b.Targets, a.Tries+b.Tries, a.Starved+b.Starved
	a.Accepted, a.Answered, a.Refused = a.Accepted+b.Accepted, a.Answered+b.Answered, a.Refused+b.Refused
	a.Silent, a.Unreachable = a.Silent+b.Silent, a.Unreachable+b.Unreachable
	a.NotTried, a.Degraded = a.NotTried+b.NotTried, a.Degraded || b.Degraded
	return a
}

// hostPace is the budget of each host, for sweeps: that which visits keep to
// where they ask the host too, and a small memory of its own for the many that
// nobody visits.
type hostPace struct {
	visited *budget.Limiter
	others  *sweep.Hosts
}

// Take implements sweep.HostPacer.
func (h hostPace) Take(host [16]byte) time.Duration {
	if wait, known := h.visited.TakeHost(netip.AddrFrom16(host)); known {
		return wait
	}
	return h.others.Take(host)
}

// Charge implements sweep.HostPacer.
func (h hostPace) Charge(host [16]byte) bool {
	if ok, known := h.visited.ChargeHost(netip.AddrFrom16(host)); known {
		return ok
	}
	return h.others.Charge(host)
}

var _ sweep.Pacer = (*budget.Limiter)(nil)

// portsOf gives part i of n of the source ports.
func portsOf(r config.PortRange, i, n int) sweep.Range {
	all := int(r.Last) - int(r.First) + 1
	return sweep.Range{First: r.First + uint16(all*i/n), Last: r.First + uint16(all*(i+1)/n) - 1}
}

// countPackets gives the counts of all sweeps by name, for the heartbeat.
func countPackets(into map[string]int, t capture.Packets) {
	for name, n := range map[string]uint64{"sent": t.Sent, "received": t.Received, "validated": t.Validated,
		"spoofed": t.Spoofed, "dropped": t.Dropped, "repeated": t.Repeated, "rate": uint64(t.Rate)} {
		into[name] = int(min(uint64(into[name])+n, math.MaxInt32))
	}
}
