package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"time"

	"sonde/capture"
	"sonde/capture/route"
	"sonde/config"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
	"sonde/probes/session"
)

// outages are the interfaces of the watches that cannot be used now, and the
// watches that no way leads to. Each is told once as sensor.degraded, and once
// as sensor.recovered. There is one for the whole process, so that a new
// configuration does not tell the same again, nor forget to tell the end.
//
// What is silent while the way to it is lost is not silent: who waits for an
// answer asks mark before, and lost after.
type outages struct {
	routes *route.Table // nil: none is ever known

	mu    sync.Mutex // guards what follows
	now   map[string]string
	count map[string]uint64 // of outages since the start, by name
	tell  func(event.Event) // nil: nobody listens
}

func newOutages(routes *route.Table) *outages {
	return &outages{routes: routes, now: map[string]string{}, count: map[string]uint64{}}
}

// tellTo says who takes the events from now on. It must not block.
func (o *outages) tellTo(tell func(event.Event)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tell = tell
}

// set notes that something cannot be used for a reason, or with "" that it can.
func (o *outages) set(name, reason string) {
	if reason == "" {
		o.end(name, "can be used again")
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.now[name]; known {
		return
	}
	o.now[name] = reason
	o.count[name]++
	o.record(event.SensorDegraded, name, "cannot be used: "+reason)
}

// end notes that an outage is over, and how.
func (o *outages) end(name, how string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.now[name]; known {
		delete(o.now, name)
		o.record(event.SensorRecovered, name, how)
	}
}

// record tells an event; mu is held.
func (o *outages) record(a event.Action, name, what string) {
	if o.tell != nil {
		o.tell(event.Event{Action: a, Cause: event.CauseSelf, ObservedAt: time.Now().UTC(),
			Message: "discovery: " + name + " " + what})
	}
}

// names are those that cannot be used now.
func (o *outages) names() (list []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.now {
		list = append(list, name)
	}
	return list
}

// A mark is how the way to something stood.
type mark struct {
	links map[string]uint64 // that lead there, and how often each was lost
	lost  bool
}

// of notes how the interfaces stand.
func (o *outages) of(links map[string]bool, lost bool) mark {
	m := mark{links: map[string]uint64{}, lost: lost}
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, works := range links {
		_, out := o.now[name]
		m.lost = m.lost || out || !works
		m.links[name] = o.count[name]
	}
	return m
}

// since says whether answers may have been lost between two marks.
func (m mark) since(before mark) bool {
	if m.lost || before.lost || len(m.links) != len(before.links) {
		return true
	}
	for name, n := range m.links {
		if was, there := before.links[name]; !there || was != n {
			return true
		}
	}
	return false
}

// mark notes how the way to an address stands by an interface, "" for any. Without
// routes, and for this machine itself, none is ever lost.
func (o *outages) mark(a netip.Addr, via string) mark {
	if o.routes == nil {
		return mark{}
	}
	h, err := o.routes.Hop(a, via)
	switch {
	case err != nil:
		return mark{lost: true}
	case h.Local:
		return mark{}
	}
	return o.of(map[string]bool{h.Link.Name: h.Link.Up}, false)
}

// markAll does so for many addresses. An address without a way is no outage
// here: a sweep tells it as not tried.
func (o *outages) markAll(set config.AddrSet, via string) mark {
	if o.routes == nil {
		return mark{}
	}
	links, _ := reached(o.routes, set, via)
	if via != "" && len(links) == 0 {
		links = map[string]bool{via: false} // not there, or down
	}
	return o.of(links, false)
}

// reached gives the interfaces that addresses are reached by, of which via is the
// only one if it is not empty, and whether each works, and the first reason why
// some are not reached.
func reached(t *route.Table, set config.AddrSet, via string) (links map[string]bool, noWay error) {
	links = map[string]bool{}
	_, far := set.SplitLoopback()
	for _, r := range far.Ranges() {
		for _, p := range prefixes(config.NewAddrSet(r)) {
			for w, err := range spans(t, p, cmp.Or(via, r.First.Zone())) {
				switch {
				case err != nil && noWay == nil:
					noWay = err
				case err == nil && !w.Hop.Local:
					links[w.Hop.Link.Name] = w.Hop.Link.Up
				}
			}
		}
	}
	return links, noWay
}

// A wiredVisitor visits endpoints on a wire. What hears nothing while the way to
// it was lost has found out nothing.
type wiredVisitor struct {
	sensor.Visitor
	outages *outages
	via     string // interface; "": as the routes say
}

// lostOnTheWay is the reason of an observation that proves nothing for that.
const lostOnTheWay = "link-lost"

// Begin implements sensor.Visitor.
func (v wiredVisitor) Begin(ep probes.Endpoint, known session.Remembered, done func(probes.Observation)) func(error) {
	before := v.outages.mark(ep.Addr, v.via)
	return v.Visitor.Begin(ep, known, func(o probes.Observation) {
		silent := o.Outcome == probes.OutcomeSilent || o.Outcome == probes.OutcomeUnreachable
		if silent && v.outages.mark(ep.Addr, v.via).since(before) {
			o.Outcome, o.State, o.Reason = probes.OutcomeInconclusive, "", lostOnTheWay
		}
		done(o)
	})
}

// A wiredDiscoverer discovers on a wire. A sweep by connects in which the way was
// lost is degraded; a sweep by packets takes care of that itself, and repeats
// what was lost. A look fails, as it proves nothing. The broadcast address of a
// network on a link is nobody's, and is not asked.
type wiredDiscoverer struct {
	discoverer
	outages  *outages
	via      string // interface; "": as the routes say
	connects bool
}

// Sweep implements discoverer.
func (d wiredDiscoverer) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	if routes := d.outages.routes; routes != nil {
		skip := p.Skip
		p.Skip = func(a netip.Addr) bool {
			if _, err := routes.Hop(a, d.via); errors.Is(err, route.ErrNotUnicast) {
				return true
			}
			return skip != nil && skip(a)
		}
	}
	set, ok := p.Addrs.(config.AddrSet)
	if !d.connects || !ok {
		return d.discoverer.Sweep(ctx, p, yield)
	}
	before := d.outages.markAll(set, d.via)
	p.Checkpoint = delayed(p.Checkpoint, func() bool { return d.outages.markAll(set, d.via).since(before) })
	stats, err := d.discoverer.Sweep(ctx, p, yield)
	stats.Degraded = stats.Degraded || d.outages.markAll(set, d.via).since(before)
	return stats, err
}

// delayed passes on each checkpoint when the next one comes, unless the way was
// lost by then: that is noticed a moment later than answers stay out.
func delayed(tell func(uint64), lost func() bool) func(uint64) {
	if tell == nil {
		return nil
	}
	var before uint64
	return func(place uint64) {
		if lost() {
			tell = func(uint64) {}
		}
		if before > 0 {
			tell(before)
		}
		before = place
	}
}

// Look implements discoverer.
func (d wiredDiscoverer) Look(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error) {
	before := map[netip.Addr]mark{}
	for t := range targets {
		before[t.Addr.Addr()] = d.outages.mark(t.Addr.Addr(), d.via)
	}
	stats, err := d.discoverer.Look(ctx, targets, yield)
	for a, m := range before {
		if err == nil && d.outages.mark(a, d.via).since(m) {
			err = fmt.Errorf("look at %s: %s", a, lostOnTheWay)
		}
	}
	return stats, err
}

// carried are routes as a sweep by packets needs them: where there is no carrier
// there is no way.
type carried struct{ *route.Table }

// Hop implements sweep.Routes.
func (c carried) Hop(dst netip.Addr, via string) (route.Hop, error) {
	h, err := c.Table.Hop(dst, via)
	if err == nil && !h.Local && !h.Link.Up {
		err = route.ErrDown
	}
	return h, err
}
