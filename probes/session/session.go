// Package session speaks with one endpoint until it is known what answers
// there or a budget is spent: an [probes.Endpoint] goes in, an
// [probes.Observation] comes out, always, whatever the peer does.
//
// What is asked follows the reference's order: first only listen, then the
// probes that list the port, then the others up to the intensity; a soft match
// narrows the rest, and a match that says TLS starts again inside a tunnel.
// What is told does not depend on how the network cuts an answer into
// segments: only final answers are matched.
//
// A [Prober] never changes, so any number of goroutines may share it. Each
// [Prober.Visit] blocks its caller and leaves no goroutine behind.
//
// # Cost
//
// A visit sends at most [Settings.MaxProbes] probes, moves at most
// [Settings.MaxBytes] bytes and waits at most [Settings.MaxWait] for answers.
// It holds at most two connections at a time and keeps [Settings.MaxAnswer]
// bytes of an answer.
package session

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"sonde/probes"
)

// Config is what a Prober needs.
type Config struct {
	Database *probes.Database
	Settings Settings

	// Dialer opens the connections; nil means a plain net.Dialer.
	Dialer Dialer
	// Pace, if set, is called before each connection and each datagram and
	// returns when that is allowed. The time it takes counts against no
	// timeout but WallLimit.
	Pace func(context.Context, netip.AddrPort) error
	// Log gets one debug record per visit; nil means none.
	Log *slog.Logger
}

// A Prober visits endpoints.
type Prober struct {
	db       *probes.Database
	dialer   Dialer
	pace     func(context.Context, netip.AddrPort) error
	settings Settings
	log      *slog.Logger
}

// New checks the settings and makes a Prober.
func New(cfg Config) (*Prober, error) {
	if cfg.Database == nil {
		return nil, errors.New("session: no database")
	}
	if err := cfg.Settings.check(); err != nil {
		return nil, err
	}
	p := &Prober{
		db: cfg.Database, dialer: cfg.Dialer, pace: cfg.Pace,
		settings: cfg.Settings, log: cfg.Log,
	}
	if p.dialer == nil {
		p.dialer = new(net.Dialer)
	}
	if p.pace == nil {
		p.pace = func(ctx context.Context, _ netip.AddrPort) error { return ctx.Err() }
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p, nil
}

// Remembered is how an endpoint was identified before. The zero value means
// that it was not.
type Remembered struct {
	Probe  string        // Observation.Probe
	Tunnel probes.Tunnel // Observation.Tunnel
	Soft   string        // the service, if it was only a soft match: enough again
}

// Recall gives what the next visit should remember of an observation.
func Recall(o *probes.Observation) Remembered {
	r := Remembered{Probe: o.Probe, Tunnel: o.Tunnel}
	if o.Strength == probes.Soft {
		r.Soft = o.Service
	}
	return r
}

// Visit asks what listens at the endpoint. A remembered probe is sent alone,
// and the others only if its answer gives no hard match.
//
// It returns within some milliseconds after ctx is done, with the outcome
// inconclusive unless the identity was already certain.
func (p *Prober) Visit(ctx context.Context, ep probes.Endpoint, known Remembered) probes.Observation {
	v := newVisit(p, ep, known)
	if reason := v.held(); reason != "" {
		v.outcome, v.reason = probes.OutcomeHeld, reason
		return v.observation()
	}
	wctx, cancel := context.WithTimeout(ctx, p.settings.WallLimit)
	defer cancel()
	switch {
	case ep.Transport == probes.UDP:
		v.udp(wctx)
	default:
		v.tcp(wctx)
	}
	v.interrupted = v.interruption(ctx, wctx)
	o := v.observation()
	p.log.DebugContext(ctx, "visited", "addr", ep.Addr, "port", ep.Port, "transport", ep.Transport,
		"outcome", o.Outcome, "service", o.Service, "cost", o.Cost, "errors", o.Errors)
	return o
}
