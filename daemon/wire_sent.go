package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"sonde/capture"
	"sonde/capture/sweep"
	"sonde/config"
	"sonde/daemon/internal/sensor"
	"sonde/daemon/internal/sent"
	"sonde/probes"
	"sonde/probes/ports"
	"sonde/probes/visitor"
)

// openSent opens the log of what is sent, where the configuration wants one.
// That it cannot be kept is no reason to be blind: it is logged, and whoever
// asks the log later is told of the time without.
func openSent(ctx context.Context, cfg *config.Config, log *slog.Logger) *sent.Log {
	if !cfg.Sent.Enabled {
		return nil
	}
	l, err := sent.Open(ctx, sent.Config{Path: sent.Path(cfg.Sensor.StateDir), MaxSize: cfg.Sent.MaxSize,
		KeepFor: cfg.Sent.KeepFor, Now: time.Now, Log: log})
	if err != nil {
		log.Error("the sensor works without a log of what it sends", "err", err)
		return nil
	}
	return l
}

// contactsTo gives what a visitor tells of its connections, nil without a log.
func contactsTo(l *sent.Log) func(visitor.Contact) {
	if l == nil {
		return nil
	}
	return l.Contact
}

// A loggedSweeper writes down each sweep.
type loggedSweeper struct {
	inner   sensor.Sweeper
	log     *sent.Log
	method  string
	sources string // the ports that it sends from; "": any
	via     string // the interface; "": as the routes say
}

// loggedSweeps gives a sweeper that is written down, if there is a log.
func loggedSweeps(s sensor.Sweeper, l *sent.Log, sources sweep.Range, via string) sensor.Sweeper {
	if l == nil {
		return s
	}
	return loggedSweeper{s, l, config.SYN, fmt.Sprintf("%d-%d", sources.First, sources.Last), via}
}

// Sweep implements sensor.Sweeper.
func (d loggedSweeper) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	id := d.log.Begin(sent.Sweep{Method: d.method, Transport: p.Network, Addrs: rangesText(p.Addrs),
		Ports: ports.Of(p.Ports...).String(), Sources: d.sources, Interface: d.via})
	stats, err := d.inner.Sweep(ctx, p, yield)
	d.log.End(id, endOf(ctx, stats.Targets, stats.Tries, err))
	return stats, err
}

// endOf says how a sweep ended.
func endOf(ctx context.Context, targets, tries uint64, err error) sent.Ended {
	end := sent.Ended{Targets: targets, Tries: tries}
	switch {
	case ctx.Err() != nil:
		end.Why = "cut short"
	case err != nil:
		end.Why = err.Error()
	}
	return end
}

// A loggedDiscoverer writes down each endpoint that is looked at, too.
type loggedDiscoverer struct {
	loggedSweeper
	inner discoverer
}

// loggedConnects gives connect discovery that is written down, if there is a log.
func loggedConnects(d discoverer, l *sent.Log, via string) discoverer {
	if l == nil {
		return d
	}
	return loggedDiscoverer{loggedSweeper{d, l, config.Connect, "", via}, d}
}

// Look implements discoverer. What is looked at are a few endpoints.
func (d loggedDiscoverer) Look(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error) {
	return d.inner.Look(ctx, func(yield func(capture.Target) bool) {
		for t := range targets {
			now := time.Now()
			d.log.Contact(visitor.Contact{Begun: now, Ended: now, Transport: probes.Transport(t.Network),
				Remote: t.Addr, Interface: d.via, Said: []string{"discovery"}})
			if !yield(t) {
				return
			}
		}
	}, yield)
}

// rangesText writes addresses as the log has them.
func rangesText(a capture.Addrs) string {
	set, ok := a.(config.AddrSet)
	if !ok { // a list, which is walked by who sweeps it, too
		var each []config.Range
		for i := range a.Len() {
			each = append(each, config.Range{First: a.At(i), Last: a.At(i)})
		}
		set = config.NewAddrSet(each...)
	}
	var b strings.Builder
	for _, r := range set.Ranges() {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.First.String())
		if r.Last != r.First {
			b.WriteString("-" + r.Last.String())
		}
	}
	return b.String()
}
