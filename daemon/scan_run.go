package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sonde/capture"
	"sonde/capture/sweep"
	"sonde/config"
	"sonde/daemon/internal/budget"
	"sonde/daemon/internal/report"
	"sonde/daemon/internal/scan"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/fingerprint"
	"sonde/probes/ports"
)

// scan makes the one pass over the targets, and prints what it found.
func (o *scanOptions) scan(c *cobra.Command, t targets, list ports.List, db *probes.Database) (err error) {
	saveMemory()
	if files, err := capture.RaiseFileLimit(); err == nil && files > 0 {
		// Some descriptors are for other things than connections.
		most := int(min(files*3/8, scanConnections/2))
		o.limits.sweep, o.limits.visit = most, most
	}
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	lim, err := o.limits.limiter()
	if err != nil {
		return err
	}
	net := openNetwork(log)
	defer func() { err = errors.Join(err, net.Close()) }()
	conversations, err := engine.New(engine.Config{Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conversations.Close()) }()
	scope := scope{t.gate(list), log}
	visits := newVisitors(scope.loops(conversations.Loops()), &o.limits, lim, db, o.intensity, o.identity, log)
	visits.guard = net.guardBy
	defer visits.close()
	visitor, err := visits.of(o.how)
	if err != nil {
		return err
	}
	sweeps, err := plansOf(t.addrs, list)
	if err != nil {
		return err
	}
	for i := range sweeps {
		sweeps[i].Seed = rand.Uint64()
	}
	var connects discoverer = newSweeper(&o.limits, len(sweeps), net, lim, db, lane{o.how.allow.Needs(), o.how.via}, log)
	discover, closeDiscovery, err := o.discovery(t, connects, net, lim, db, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDiscovery()) }()
	total := int64(t.addrs.Len()) * int64(list.TCP.Len()+list.UDP.Len())
	plan := scan.Plan{
		Sweeps: sweeps, Visits: o.limits.visits(),
		Visitor: visitor, Complete: o.complete(),
		Sweeper: scope.sweeper(wiredDiscoverer{discoverer: discover, outages: net.outages, via: o.how.via,
			connects: discover == connects}),
		Names: func(a netip.Addr) []string {
			return slices.Concat(t.names[a], o.names)
		},
	}
	if how := o.how; !how.allow.Held || !how.allow.Industrial {
		how.careful = true
		if plan.Careful, err = visits.of(how); err != nil {
			return err
		}
		plan.CarefulHost = func(a netip.Addr) { lim.Careful(a, true) }
	}
	var written error
	if o.output == "json" {
		enc := json.NewEncoder(c.OutOrStdout())
		plan.Found = func(obs probes.Observation) { written = errors.Join(written, enc.Encode(obs)) }
	}
	start := time.Now()
	progress := &scan.Progress{Ports: total}
	done := showProgress(c.ErrOrStderr(), progress, start)
	res, err := scan.Run(c.Context(), plan, progress)
	done()
	log.Debug("sockets of the visits", "stats", conversations.Stats())
	if errors.Is(err, context.Canceled) {
		err = errors.New("scan: interrupted; what is shown is not all")
	}
	if res.Degraded {
		err = errors.Join(err, errors.New("scan: not complete: some ports were not tried, or their answers were lost here, "+
			"for want of local resources or of a way to them; lower --rate, or see with --verbose"))
	}
	end := time.Now()
	if o.reverseDNS {
		nameHosts(c.Context(), res.Hosts, reverseLookup)
	}
	return errors.Join(o.print(c.OutOrStdout(), report.Run{Version: version, Args: os.Args, Method: foundBy(discover),
		Ports: list, Hosts: res.Hosts, Total: int(t.addrs.Len()), Start: start, End: end, Failed: err}, res, total), written, err)
}

// discovery gives what finds the ports of the targets, and what ends it: packets
// of our own where they are permitted, connects otherwise. Both are made for
// targets on a wire only; this machine's loopback is always connected to.
func (o *scanOptions) discovery(t targets, connects discoverer, net *network, lim *budget.Limiter,
	db *probes.Database, log *slog.Logger) (discoverer, func() error, error) {
	none := func() error { return nil }
	want := o.method
	if o.connect {
		want = config.Connect
	}
	how, err := net.method(want)
	if err != nil {
		return nil, nil, err
	}
	if _, far := t.addrs.SplitLoopback(); far.Len() == 0 || how.name == config.Connect {
		log.Info("ports are found by connections", "reason", how.reason)
		return connects, none, nil
	}
	p := &packetSweep{routes: net.routes, config: sweep.Config{Interface: o.how.via, SourcePorts: portsOf(o.sourcePorts, 0, 1),
		Pace: lim, Hosts: hostPace{lim, sweep.NewHosts(o.limits.hostPackets)}, Tries: o.limits.tries,
		RetryAfter: o.limits.timeout, Payloads: payloadsOf(db, o.how.allow.Needs()), Log: log}}
	if _, err := p.Open(); err != nil {
		// A sensor at work on this machine holds these ports.
		if want == config.SYN {
			return nil, nil, errors.Join(err, p.Close())
		}
		log.Info("ports are found by connections", "reason", err)
		return connects, none, p.Close()
	}
	return splitDiscoverer{p, connects}, p.Close, nil
}

// foundBy names how TCP ports were found.
func foundBy(d discoverer) string {
	if _, ok := d.(splitDiscoverer); ok {
		return config.SYN
	}
	return config.Connect
}

// complete gives what adds to an observation what only a scan tells. What
// policy holds back is an open port as discovery saw it, but the reason that
// counts is that of the policy.
func (o *scanOptions) complete() func(*probes.Observation) {
	how := fingerprintSettings(o.intensity)
	how.Scrub = o.scrub
	return func(obs *probes.Observation) {
		if obs.Outcome == probes.OutcomeHeld {
			obs.State = probes.Open
		}
		obs.Fingerprint = fingerprint.Of(obs, how)
	}
}

func (o *scanOptions) print(w io.Writer, run report.Run, res scan.Result, total int64) error {
	switch o.output {
	case "json":
		return nil // written as it was found
	case "xml":
		return report.XML(w, &run)
	case "grepable":
		return report.Grepable(w, &run)
	}
	return errors.Join(
		report.Text(w, res.Hosts, o.submitTo),
		report.Closing(w, report.Summary{Version: version, Hosts: run.Total, Up: res.Up,
			Ports: total, Open: res.Open, Elapsed: run.End.Sub(run.Start)}))
}
