package main

import (
	"context"
	"iter"
	"log/slog"
	"net/netip"

	"sonde/capture"
	"sonde/config"
	"sonde/daemon/internal/fault"
	"sonde/probes/engine"
)

// A scope is the last that is asked before a packet leaves, whichever engine
// sends it. What is to be asked is chosen from the same configuration, so that
// the gate should never have to say no: where it does, that is our own mistake,
// and told as such.
type scope struct {
	gate *config.Gate
	log  *slog.Logger
}

// loops gives loops that open no socket out of the scope.
func (s scope) loops(loops []engine.Loop) []engine.Loop {
	out := make([]engine.Loop, len(loops))
	for i, l := range loops {
		out[i] = engine.Guard(l, s.permits)
	}
	return out
}

// permits is the gate for one socket.
func (s scope) permits(network string, to netip.AddrPort) bool {
	fault.Point("visit.open.before")
	ok := s.gate.Permits(network, to.Addr(), to.Port())
	if !ok {
		s.log.Error("withheld a packet out of the scope, which is a mistake of this program", "network", network, "to", to)
	}
	return ok
}

// A discoverer finds out which ports answer: a sweep's many, or a few.
type discoverer interface {
	Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error)
	Look(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error)
}

// sweeper gives a discoverer that sends nothing out of the scope.
func (s scope) sweeper(d discoverer) discoverer { return scopedDiscoverer{s, d} }

type scopedDiscoverer struct {
	scope scope
	inner discoverer
}

// Sweep implements discoverer. Plans ask every port of an address, so that the
// address decides.
func (d scopedDiscoverer) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	p.Addrs = setOf(p.Addrs)
	skip := p.Skip
	p.Skip = func(a netip.Addr) bool {
		if !d.scope.gate.Host(a) {
			d.scope.log.Error("withheld a packet out of the scope, which is a mistake of this program", "to", a)
			return true
		}
		return skip != nil && skip(a)
	}
	return d.inner.Sweep(ctx, p, yield)
}

// setOf gives addresses as the set that the discoverers know: those of a sweep
// are one, and those of a few hosts become one.
func setOf(addrs capture.Addrs) config.AddrSet {
	if set, ok := addrs.(config.AddrSet); ok {
		return set
	}
	var list []netip.Addr
	for i := range addrs.Len() {
		list = append(list, addrs.At(i))
	}
	return setOfHosts(list)
}

// Look implements discoverer.
func (d scopedDiscoverer) Look(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error) {
	return d.inner.Look(ctx, func(yield func(capture.Target) bool) {
		for t := range targets {
			if d.scope.permits(t.Network, t.Addr) && !yield(t) {
				return
			}
		}
	}, yield)
}
