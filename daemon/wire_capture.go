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
	"sonde/daemon/internal/fault"
	"sonde/daemon/internal/sensor"
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

// guardBy gives the guard for what is sent by an interface, "" for any.
func (n *network) guardBy(via string) *capture.Guard {
	if n.guard == nil || via == "" {
		return n.guard
	}
	return n.guard.By(onlink.Kernel{Routes: n.routes, Via: via})
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
	meter  *meter // nil: nobody wants to know

	mu      sync.Mutex // guards what follows
	sweeper *sweep.Sweeper
	finder  *onlink.Finder
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
	if p.meter != nil {
		p.meter.begin()
		defer p.meter.end()
	}
	return s.Sweep(ctx, plan, yield)
}

// totals are the packets since the first sweep, but for the rate.
func (p *packetSweep) totals() capture.Packets {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweeper == nil {
		return capture.Packets{}
	}
	return p.sweeper.Totals()
}

// busy is how long what takes the answers has been at one thing.
func (p *packetSweep) busy() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweeper == nil {
		return 0
	}
	return max(p.sweeper.Busy(), p.finder.Busy())
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
	packets  sensor.Sweeper
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
	fault.Point("sweep.packet.before")
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

// A meter measures the rate that all sweeps hold together while any of them is
// under way. Several at once share one budget, and one after the other does not
// add up.
type meter struct {
	sent func() uint64 // packets since the start
	now  func() time.Time

	mu      sync.Mutex // guards what follows
	running int
	began   time.Time
	before  uint64  // sent when it began
	last    float64 // packets per second of the time before
}

func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running++; m.running == 1 {
		m.began, m.before = m.now(), m.sent()
	}
}

func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running--; m.running == 0 {
		m.last = m.held()
	}
}

// held is the rate since the first of the sweeps under way began; mu is held.
func (m *meter) held() float64 {
	sent, d := m.sent(), m.now().Sub(m.began).Seconds()
	if d <= 0 || sent < m.before { // the sweepers were closed
		return 0
	}
	return float64(sent-m.before) / d
}

// rate is that of the sweeps under way, or of those before.
func (m *meter) rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running > 0 {
		return m.held()
	}
	return m.last
}

// tallied fits a counter into an event: up to 2^53, which all readers of JSON
// take as it is; at a million packets per second that is reached after 285 years.
// On machines of 32 bits counters begin anew at 2^31, as those of routers do.
func tallied(n uint64) int { return int(n & min(1<<53-1, math.MaxInt)) }

// countPackets gives the counts of all sweeps by name, for the heartbeat.
func countPackets(into map[string]int, t capture.Packets) {
	for name, n := range map[string]uint64{"sent": t.Sent, "received": t.Received, "validated": t.Validated,
		"spoofed": t.Spoofed, "dropped": t.Dropped, "repeated": t.Repeated, "rate": uint64(t.Rate)} {
		into[name] = tallied(n)
	}
}
