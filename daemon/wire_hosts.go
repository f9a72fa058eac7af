package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/onlink"
	"sonde/capture/route"
	"sonde/config"
	"sonde/daemon/internal/budget"
	"sonde/daemon/internal/sensor"
	"sonde/daemon/internal/sent"
)

// namesWithin bounds the look-ups of names in one search.
const namesWithin = 30 * time.Second

// A hostSearcher looks for the hosts of a watch. It is a [sensor.Searcher].
type hostSearcher struct {
	watch    string
	via      string         // interface; "": as the routes say
	walked   config.AddrSet // to be asked by echo; empty without
	networks config.AddrSet // that are not walked
	book     *hostBook      // of these; nil without any
	how      config.Hosts
	calls    bool // all nodes
	names    []config.Name
	tries    int

	net    *network
	gate   *config.Gate
	pace   func(context.Context, netip.Addr) error
	lookup func(context.Context, string) ([]netip.Addr, error)
	kept   *sent.Log // nil: none
	log    *slog.Logger
}

// searchOf gives a watch what looks for its hosts, if anything does, and sweeps
// those that are found.
func (p *parts) searchOf(cfg *config.Config, w *config.Watch, out *sensor.Watch, net *network,
	lim *budget.Limiter, gate *config.Gate, kept *sent.Log, log *slog.Logger) {
	if !cfg.Searches(w) {
		return
	}
	h := &hostSearcher{watch: w.Name, via: w.Interface, networks: cfg.Networks(w), how: w.Hosts, calls: cfg.CallsAllNodes(w), names: w.Names, tries: cfg.Limits.Tries,
		net: net, gate: gate, pace: lim.Packet, lookup: lookup, kept: kept, log: log}
	if w.Hosts.Echo {
		_, h.walked = cfg.Walked(w).SplitLoopback()
	}
	out.Searcher, out.SearchEvery = h, w.Hosts.Every
	if len(h.networks.Ranges()) == 0 {
		return
	}
	h.book = newHostBook(h.networks, w.Hosts.Most, time.Now)
	p.books[w.Name] = h.book
	out.HostsMost = w.Hosts.Most
	out.Heard = func(a netip.Addr) { h.book.add(a, true) }
	out.Sweeper = bookDiscoverer{out.Sweeper.(discoverer), h.book}
}

// Search implements sensor.Searcher.
func (h *hostSearcher) Search(ctx context.Context, skip func(netip.Addr) bool, found func(netip.Addr)) (err error) {
	tell := func(a netip.Addr, proven bool) {
		if h.walked.Contains(a) || h.book != nil && h.book.add(a, proven) {
			found(a)
		}
	}
	if h.book != nil {
		defer func() {
			if ctx.Err() != nil {
				return
			}
			if left := h.book.searched(err); left > 0 {
				h.log.Warn("more hosts were seen than hosts_most", "watch", h.watch, "left_out", left)
			}
		}()
		h.named(ctx, tell)
	}
	links, err := h.links()
	switch {
	case h.net.routes == nil:
		return nil
	case h.net.capture != nil:
		return errors.Join(err, h.neighbors(links, tell))
	}
	left := func(a netip.Addr) bool { // not ours to ask, or not now
		return !h.networks.Contains(a) && !h.walked.Contains(a) || !h.gate.Host(a) || skip(a)
	}
	f := onlink.New(onlink.Config{Routes: h.net.routes, Open: onlink.OpenLink, Tries: h.tries, Log: h.log,
		Wait: func(ctx context.Context, a netip.Addr) error {
			if skip(a) && ctx.Err() != nil { // it has waited while nothing may be sent
				return ctx.Err()
			}
			return h.pace(ctx, a)
		}})
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, l := range links {
		err = errors.Join(err, h.onLink(ctx, f, l, left, tell))
	}
	if h.how.Echo {
		err = errors.Join(err, h.echo(ctx, f, left, tell))
	}
	return err
}

// named tells the hosts that the configuration names.
func (h *hostSearcher) named(ctx context.Context, tell func(netip.Addr, bool)) {
	ctx, cancel := context.WithTimeout(ctx, namesWithin)
	defer cancel()
	for _, n := range h.names {
		if n.Addr.IsValid() {
			tell(n.Addr, true)
			continue
		}
		addrs, err := h.lookup(ctx, n.Name)
		if err != nil {
			h.log.Debug("name not looked up", "watch", h.watch, "name", n.Name, "err", err)
		}
		for _, a := range addrs {
			tell(a.Unmap(), true)
		}
	}
}

// links are the interfaces that the networks lie on, and an error if one of them
// cannot be used.
func (h *hostSearcher) links() (list []route.Interface, err error) {
	if h.net.routes == nil {
		return nil, nil
	}
	for _, p := range prefixes(h.networks) {
		for s, e := range spans(h.net.routes, p, h.via) {
			switch l := s.Hop.Link; {
			case e != nil || s.Hop.Local || !s.Hop.OnLink || !l.Resolves() || slices.Contains(list, l):
			case !l.Up:
				err = fmt.Errorf("look for hosts on %s: %w", l.Name, link.ErrDown)
			default:
				list = append(list, l)
			}
		}
	}
	return list, err
}

// neighbors tells those that the kernel knows on the links.
func (h *hostSearcher) neighbors(links []route.Interface, tell func(netip.Addr, bool)) error {
	for _, l := range links {
		known, err := h.net.routes.Neighbors(l.Index)
		if err != nil {
			return err
		}
		for _, n := range known {
			if n.State.HasMAC() && h.gate.Host(n.Addr) {
				tell(n.Addr, false)
			}
		}
	}
	return nil
}

// onLink tells those that answer on a link.
func (h *hostSearcher) onLink(ctx context.Context, f *onlink.Finder, l route.Interface,
	left func(netip.Addr) bool, tell func(netip.Addr, bool)) error {
	yield := func(x onlink.Host) { tell(x.Addr, true) }
	if h.calls {
		end := h.write(ctx, "all-nodes", frame.AllNodes.String()+" "+rangesText(h.networks))
		stats, err := f.Discover(ctx, l.Name, left, yield)
		end(stats, err)
		return err
	}
	var list []netip.Addr
	err := h.neighbors([]route.Interface{l}, func(a netip.Addr, _ bool) {
		if h.networks.Contains(a) {
			list = append(list, a)
		}
	})
	if err != nil || len(list) == 0 {
		return err
	}
	_, err = f.Sweep(ctx, l.Name, capture.Plan{Addrs: setOfHosts(list), Seed: rand.Uint64(), Skip: left}, yield)
	return err
}

// echo tells those that answer an echo request: of what is walked, and of the
// hosts in the book.
func (h *hostSearcher) echo(ctx context.Context, f *onlink.Finder, left func(netip.Addr) bool,
	tell func(netip.Addr, bool)) error {
	ranges := h.walked.Ranges()
	if h.book != nil {
		ranges = append(ranges, setOfHosts(h.book.list()).Ranges()...)
	}
	var err error
	for _, is4 := range []bool{true, false} { // each has a limit of its own
		set := config.NewAddrSet(only(ranges, is4, func(r config.Range) bool { return r.First.Is4() })...)
		if set.Len() == 0 {
			continue
		}
		end := h.write(ctx, "echo", rangesText(set))
		stats, e := f.Echo(ctx, h.via, capture.Plan{Addrs: set, Seed: rand.Uint64(), Skip: left},
			func(x onlink.Host) { tell(x.Addr, true) })
		end(stats, e)
		err = errors.Join(err, e)
	}
	return err
}

// write writes down what is asked by echo, and gives what ends that. A call to all
// nodes reaches each address that may be on the link.
func (h *hostSearcher) write(ctx context.Context, method, addrs string) func(onlink.Stats, error) {
	if h.kept == nil {
		return func(onlink.Stats, error) {}
	}
	id := h.kept.Begin(sent.Sweep{Method: method, Transport: "icmp", Addrs: addrs, Interface: h.via})
	return func(stats onlink.Stats, err error) {
		h.kept.End(id, endOf(ctx, stats.Targets, stats.Sent, err))
	}
}
