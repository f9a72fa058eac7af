// Package scan makes one pass over a set of targets, now, and remembers
// nothing: every port that answers is asked what runs there while discovery
// goes on. A conversation has no goroutine: it calls back when it is over.
package scan

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"sonde/capture"
	"sonde/daemon/internal/report"
	"sonde/probes"
)

// A Sweeper finds out which targets answer; see capture.Connect. It need not
// tell of those that are silent, only count them among its targets.
type Sweeper interface {
	Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error)
}

// A Plan is what to scan and how.
type Plan struct {
	Sweeps  []capture.Plan // made side by side
	Names   func(netip.Addr) []string
	Visits  int // conversations at once, at least 1
	Sweeper Sweeper
	Visitor Visitor
	// Careful asks hosts that turn out to be fragile, which CarefulHost is told
	// of once; both may be nil.
	Careful     Visitor
	CarefulHost func(netip.Addr)
	// Complete adds to each result of a visit what only a scan tells, before
	// Found has it, from the same goroutine. May be nil.
	Complete func(*probes.Observation)
	// Found is called with each open endpoint once it is identified, from one
	// goroutine, in the order in which they are done. May be nil.
	Found func(probes.Observation)
}

// Progress counts a running scan. Its fields may be read while it runs.
type Progress struct {
	Ports  int64        // targets in all
	Asked  atomic.Int64 // targets that had their reply
	Open   atomic.Int64 // of these, open
	Visits atomic.Int64 // of the open ones, identified
}

// A Result is what a scan found, hosts in order of address. Hosts of which
// nothing answered are only counted.
type Result struct {
	Hosts    []report.Host
	Up       int
	Open     int
	Degraded bool // something could not be tried
}

// host collects what is known of one address.
type host struct {
	up     bool
	frail  bool           // asked with care
	told   map[string]int // replies by network
	hidden map[report.Hidden]int
	ports  []probes.Observation
}

// A pass is one call of Run.
type pass struct {
	Plan
	progress *Progress
	slots    chan struct{}  // one element per conversation, until it was taken
	visits   sync.WaitGroup // conversations that were not taken
	results  chan *flight   // with room for each conversation; closed by Run after the last

	mu    sync.Mutex // guards what follows
	hosts map[netip.Addr]*host
	air   map[*flight]struct{} // conversations that may be cancelled
	ended error                // why none begins any more
}

// Run scans. When ctx ends early the result has what was found by then, open
// ports without an identity included, and the error is that of ctx.
func Run(ctx context.Context, p Plan, progress *Progress) (Result, error) {
	most := max(1, p.Visits)
	r := &pass{Plan: p, progress: progress, hosts: map[netip.Addr]*host{},
		slots: make(chan struct{}, most), results: make(chan *flight, most), air: map[*flight]struct{}{}}
	var taking sync.WaitGroup
	taking.Go(func() { r.takeResults(ctx) })
	degraded, err := r.sweep(ctx)
	r.visits.Wait()
	close(r.results)
	taking.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return r.result(degraded), err
}

// takeResults takes what the conversations found until the last is over. When
// ctx ends it ends them.
func (p *pass) takeResults(ctx context.Context) {
	ended := ctx.Done()
	for {
		select {
		case <-ended:
			p.cancel(ctx.Err())
			ended = nil
		case f, more := <-p.results:
			if !more {
				return
			}
			p.land(f)
		}
	}
}

// sweep makes all sweeps, and ends when the last of them has.
func (p *pass) sweep(ctx context.Context) (degraded bool, err error) {
	stats, errs := make([]capture.Stats, len(p.Sweeps)), make([]error, len(p.Sweeps))
	var running sync.WaitGroup
	for i, plan := range p.Sweeps {
		running.Go(func() {
			told := uint64(0)
			stats[i], errs[i] = p.Sweeper.Sweep(ctx, plan, func(r capture.Reply) { told++; p.take(ctx, r) })
			if errs[i] == nil {
				p.addSilent(&plan, &stats[i], told)
			}
		})
	}
	running.Wait()
	for i := range stats {
		degraded = degraded || stats[i].Degraded
	}
	return degraded, errors.Join(errs...)
}

// addSilent counts what a sweep asked and had no reply from. Of a sweep that
// could not ask everything it is not known which ports these are.
func (p *pass) addSilent(plan *capture.Plan, stats *capture.Stats, told uint64) {
	if stats.Targets > told {
		p.progress.Asked.Add(int64(stats.Targets - told))
	}
	if stats.Degraded {
		return
	}
	silent := hiddenAs(capture.Reply{Network: plan.Network, Kind: capture.Silent, Reason: "no-response"})
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hosts {
		if n := len(plan.Ports) - h.told[plan.Network]; n > 0 {
			h.hidden[silent] += n
		}
	}
}

// take takes one reply of discovery, and waits when more is open than can be
// asked.
func (p *pass) take(ctx context.Context, r capture.Reply) {
	p.progress.Asked.Add(1)
	open := r.Kind == capture.Accepted || r.Kind == capture.Answered
	p.mu.Lock()
	h := p.at(r.Addr.Addr())
	h.told[r.Network]++
	h.up = h.up || open || r.Kind == capture.Refused
	if !open {
		h.hidden[hiddenAs(r)]++
	}
	p.mu.Unlock()
	if !open {
		return
	}
	p.progress.Open.Add(1)
	select {
	case p.slots <- struct{}{}:
		p.visit(r)
	case <-ctx.Done():
		p.add(probes.Observation{Addr: r.Addr.Addr(), Port: r.Addr.Port(),
			Transport: probes.Transport(r.Network), State: probes.Open, Reason: r.Reason,
			Strength: probes.Unmatched, Outcome: probes.OutcomeInconclusive})
	}
}

// at gives the host of an address. The caller holds p.mu.
func (p *pass) at(a netip.Addr) *host {
	h := p.hosts[a]
	if h == nil {
		h = &host{told: map[string]int{}, hidden: map[report.Hidden]int{}}
		p.hosts[a] = h
	}
	return h
}

// hiddenAs is the line under which a reply that is not listed is counted.
func hiddenAs(r capture.Reply) report.Hidden {
	n := report.Hidden{Transport: probes.Transport(r.Network), Reason: r.Reason}
	switch {
	case r.Kind == capture.Refused:
		n.State = probes.Closed
	case r.Kind == capture.Silent && n.Transport == probes.UDP:
		n.State = probes.OpenOrFiltered
	default:
		n.State = probes.Filtered
	}
	return n
}

// result sorts what was found: hosts by address, ports by transport and
// number, hidden ones the most first.
func (p *pass) result(degraded bool) Result {
	res := Result{Degraded: degraded}
	for a, h := range p.hosts {
		if !h.up {
			continue
		}
		res.Up++
		res.Open += len(h.ports)
		out := report.Host{Addr: a, Ports: h.ports}
		if p.Names != nil {
			out.Names = p.Names(a)
		}
		for n, count := range h.hidden {
			n.Count = count
			out.Hidden = append(out.Hidden, n)
		}
		slices.SortFunc(out.Hidden, compareHidden)
		slices.SortFunc(out.Ports, func(x, y probes.Observation) int {
			return cmp.Or(cmp.Compare(x.Transport, y.Transport), cmp.Compare(x.Port, y.Port))
		})
		res.Hosts = append(res.Hosts, out)
	}
	slices.SortFunc(res.Hosts, func(x, y report.Host) int { return x.Addr.Compare(y.Addr) })
	return res
}

func compareHidden(x, y report.Hidden) int {
	return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Transport, y.Transport),
		cmp.Compare(x.State, y.State), cmp.Compare(x.Reason, y.Reason))
}
