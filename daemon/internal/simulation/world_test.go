package simulation

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/sensor"
	"sonde/match"
	"sonde/probes"
	"sonde/probes/session"
)

const (
	loss  = 0.05 // of the packets each way
	tries = 6    // of discovery, which reference.toml names for that
	// A visit is lost when all four SYNs of the kernel are, or their answers;
	// other losses delay it, one in a hundred beyond its time.
	visitLoss = 0.0975 * 0.0975 * 0.0975 * 0.0975
	visitLate = 0.01
)

// A world is a network: hosts with services, and what goes wrong on the way. It
// is the Visitor, Sweeper and Looker of a sensor.
type world struct {
	mu       sync.Mutex // guards all
	rng      *rand.Rand
	hosts    map[netip.Addr]*host
	cut      bool   // no way to anything
	dark     bool   // all hosts are off
	database string // what we ask with
	recorded *recording
	visits   int
	lost     int
}

type host struct {
	off, banned, proxy bool
	mac                string
	ports              map[uint16]*service
}

// A service answers with one of its faces, by chance.
type service struct {
	faces  []face
	full   float64                                     // how often it is full: it turns us away
	passes func(probes.Observation) probes.Observation // what something before it makes of an answer; nil: nothing
}

type face struct {
	service, product, version string
	cert                      *probes.Certificate
	strength                  probes.Strength

	probe    string // drew the answer …
	recorded []byte // … of a real server, which tells all else
}

func newWorld() *world {
	return &world{rng: rand.New(rand.NewPCG(11, 12)), hosts: map[netip.Addr]*host{}, database: "database-1"}
}

func (w *world) add(a netip.Addr, ports map[uint16]*service) *host {
	n := a.As4()
	h := &host{mac: fmt.Sprintf("02:00:00:00:%02x:%02x", n[2], n[3]), ports: ports}
	w.hosts[a] = h
	return h
}

// Begin implements sensor.Visitor.
func (w *world) Begin(ep probes.Endpoint, _ session.Remembered, done func(probes.Observation)) func(error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		w.mu.Lock()
		wait := time.Duration(20+w.rng.IntN(3000)) * time.Millisecond
		w.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			done(probes.Observation{Addr: ep.Addr, Port: ep.Port, Transport: ep.Transport,
				Outcome: probes.OutcomeInconclusive, Strength: probes.Unmatched, Reason: context.Cause(ctx).Error()})
			return
		}
		w.mu.Lock()
		o := w.answer(ep.Addr, ep.Port)
		w.mu.Unlock()
		done(o)
	}()
	return cancel
}

// answer is what one visit sees.
func (w *world) answer(a netip.Addr, port uint16) probes.Observation {
	w.visits++
	o := probes.Observation{Addr: a, Port: port, Transport: probes.TCP, At: time.Now(), Strength: probes.Unmatched,
		Asked: []string{"NULL"}, Database: w.database}
	h := w.hosts[a]
	lost, late := w.rng.Float64() < visitLoss, w.rng.Float64() < visitLate
	if lost || late {
		w.lost++
	}
	switch {
	case lost, w.cut, w.dark, h == nil, h.off:
		o.State, o.Outcome, o.Reason = probes.Filtered, probes.OutcomeSilent, "no-response"
		return o
	case h.banned:
		o.State, o.Outcome, o.Reason = probes.Filtered, probes.OutcomeBlocked, "admin-prohibited"
		return o
	}
	s := h.ports[port]
	switch {
	case s == nil && h.proxy:
		o.State, o.Outcome, o.Reason = probes.Open, probes.OutcomeTCPWrapped, "syn-ack"
		return o
	case s == nil:
		o.State, o.Outcome, o.Reason = probes.Closed, probes.OutcomeRefused, "conn-refused"
		return o
	}
	o.State, o.Reason = probes.Open, "syn-ack"
	if late {
		o.Outcome = probes.OutcomeInconclusive
		return o
	}
	if w.rng.Float64() < s.full {
		o.Outcome = probes.OutcomeBlocked
		return o
	}
	f := s.faces[w.rng.IntN(len(s.faces))]
	if f.recorded != nil {
		r := w.recorded.read(w.database, &f, port)
		r.Addr, r.At, r.Asked = o.Addr, o.At, o.Asked
		if f.probe != "NULL" {
			r.Asked = append(r.Asked, f.probe)
		}
		return r
	}
	o.Outcome, o.Strength, o.Probe = probes.OutcomeAnswered, probes.Hard, "NULL"
	if f.strength != "" {
		o.Strength = f.strength
	}
	o.Identity = match.Identity{Service: f.service, Product: f.product, Version: f.version}
	o.Evidence = &probes.Evidence{Probe: "NULL", Rule: "x." + f.product, Database: w.database,
		Answer: probes.Bytes(f.service + " " + f.product + " " + f.version)}
	if f.cert != nil {
		o.Tunnel, o.TLS = probes.TLS, []probes.TLSFacts{{Version: "TLS 1.3", Certificate: f.cert}}
	}
	if s.passes != nil {
		o = s.passes(o)
	}
	return o
}

// sweepTakes is long enough that much happens in the middle of a sweep.
const sweepTakes = 20 * time.Minute

// Sweep implements sensor.Sweeper.
func (w *world) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	return w.sweep(ctx, p.Targets(), sweepTakes, yield)
}

// Look implements sensor.Looker.
func (w *world) Look(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error) {
	return w.sweep(ctx, targets, time.Second, yield)
}

func (w *world) sweep(ctx context.Context, targets iter.Seq[capture.Target], takes time.Duration, yield func(capture.Reply)) (capture.Stats, error) {
	const steps = 12
	list := slices.Collect(targets)
	var stats capture.Stats
	for part := range slices.Chunk(list, len(list)/steps+1) {
		select {
		case <-time.After(takes / steps):
		case <-ctx.Done():
			return stats, ctx.Err()
		}
		for _, t := range part {
			w.mu.Lock()
			r := w.knock(t)
			w.mu.Unlock()
			stats.Targets++
			switch r.Kind {
			case capture.Accepted:
				stats.Accepted++
			case capture.Refused:
				stats.Refused++
			default:
				stats.Silent++
			}
			yield(r)
		}
	}
	return stats, nil
}

// knock is what discovery sees of one port.
func (w *world) knock(t capture.Target) capture.Reply {
	r := capture.Reply{Addr: t.Addr, Network: t.Network, Kind: capture.Silent, Reason: "no-response", At: time.Now()}
	h := w.hosts[t.Addr.Addr()]
	if w.cut || w.dark || h == nil || h.off || h.banned {
		return r
	}
	for range tries {
		if out, back := w.rng.Float64() < loss, w.rng.Float64() < loss; out || back {
			continue
		}
		if h.proxy || h.ports[t.Addr.Port()] != nil {
			r.Kind, r.Reason = capture.Accepted, "syn-ack"
		} else {
			r.Kind, r.Reason = capture.Refused, "reset"
		}
		break
	}
	return r
}

// target tells the way to a host and its MAC address.
func (w *world) target(a netip.Addr) sensor.Reach {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.hosts[a]; h != nil && !h.off && !w.dark {
		return sensor.Reach{Way: "eth0", MAC: h.mac}
	}
	return sensor.Reach{Way: "eth0"}
}

func cert(serial int, issuer string, names ...string) *probes.Certificate {
	return &probes.Certificate{Subject: "CN=" + names[0], Issuer: "CN=" + issuer, SANs: names, SANsCount: len(names),
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
		SHA256: fmt.Sprintf("%064x", serial)}
}

type addrs []netip.Addr

func (s addrs) Len() uint64            { return uint64(len(s)) }
func (s addrs) At(i uint64) netip.Addr { return s[i] }
func (s addrs) Index(a netip.Addr) (uint64, bool) {
	i := slices.Index(s, a)
	return uint64(max(i, 0)), i >= 0
}
