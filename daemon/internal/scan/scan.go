// Package scan makes one pass over a set of targets, now, and remembers
// nothing: every port that answers is asked what runs there while discovery
// goes on.
package scan

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"sonde/capture"
	"sonde/daemon/internal/report"
	"sonde/probes"
	"sonde/probes/session"
)

// A Visitor asks one endpoint what runs there.
type Visitor interface {
	Visit(ctx context.Context, ep probes.Endpoint, known session.Remembered) probes.Observation
}

// A Sweeper finds out which targets answer; see capture.Connect.
type Sweeper interface {
	Sweep(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error)
}

// A Plan is what to scan and how.
type Plan struct {
	Targets iter.Seq[capture.Target]
	Names   func(netip.Addr) []string
	Visits  int // conversations at once
	Sweeper Sweeper
	Visitor Visitor
	// Found is called with each open endpoint once it is identified, from one
	// goroutine at a time, in the order in which they are done. May be nil.
	Found func(probes.Observation)
}

// Progress counts a running scan. Its fields may be read while it runs.
type Progress struct {
	Ports  int          // targets in all
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
	hidden map[report.Hidden]int
	ports  []probes.Observation
}

// Run scans. When ctx ends early the result has what was found by then, and
// the error is that of ctx.
func Run(ctx context.Context, p Plan, progress *Progress) (Result, error) {
	var (
		mu     sync.Mutex // guards hosts and calls of p.Found
		hosts  = map[netip.Addr]*host{}
		visits sync.WaitGroup
		slots  = make(chan struct{}, p.Visits)
	)
	at := func(a netip.Addr) *host { // mu is held
		h := hosts[a]
		if h == nil {
			h = &host{hidden: map[report.Hidden]int{}}
			hosts[a] = h
		}
		return h
	}
	visit := func(r capture.Reply) {
		defer visits.Done()
		defer func() { <-slots }()
		ep := probes.Endpoint{Addr: r.Addr.Addr(), Port: r.Addr.Port(),
			Transport: probes.Transport(r.Network)}
		if p.Names != nil {
			ep.Names = p.Names(ep.Addr)
		}
		obs := p.Visitor.Visit(ctx, ep, session.Remembered{})
		if ctx.Err() != nil {
			return
		}
		progress.Visits.Add(1)
		mu.Lock()
		defer mu.Unlock()
		if obs.State != probes.Open && r.Kind == capture.Accepted {
			// It was open a moment ago: that is what a scan tells.
			obs.State, obs.Reason = probes.Open, r.Reason
		}
		at(ep.Addr).ports = append(at(ep.Addr).ports, obs)
		if p.Found != nil {
			p.Found(obs)
		}
	}
	stats, err := p.Sweeper.Sweep(ctx, p.Targets, func(r capture.Reply) {
		progress.Asked.Add(1)
		mu.Lock()
		h := at(r.Addr.Addr())
		open := r.Kind == capture.Accepted || r.Kind == capture.Answered
		h.up = h.up || open || r.Kind == capture.Refused
		if !open {
			h.hidden[hiddenAs(r)]++
		}
		mu.Unlock()
		if !open {
			return
		}
		progress.Open.Add(1)
		select { // discovery waits when it finds more than can be asked
		case slots <- struct{}{}:
			visits.Add(1)
			go visit(r)
		case <-ctx.Done():
		}
	})
	visits.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return result(hosts, p.Names, stats.Degraded), err
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

func result(hosts map[netip.Addr]*host, names func(netip.Addr) []string, degraded bool) Result {
	res := Result{Degraded: degraded}
	for a, h := range hosts {
		if !h.up {
			continue
		}
		res.Up++
		res.Open += len(h.ports)
		out := report.Host{Addr: a, Ports: h.ports}
		if names != nil {
			out.Names = names(a)
		}
		for n, count := range h.hidden {
			n.Count = count
			out.Hidden = append(out.Hidden, n)
		}
		slices.SortFunc(out.Hidden, func(x, y report.Hidden) int { return y.Count - x.Count })
		res.Hosts = append(res.Hosts, out)
	}
	slices.SortFunc(res.Hosts, func(x, y report.Host) int { return x.Addr.Compare(y.Addr) })
	return res
}
