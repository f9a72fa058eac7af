package main

import (
	"log/slog"
	"slices"
	"time"

	"sonde/capture"
	"sonde/config"
	"sonde/daemon/internal/budget"
	"sonde/probes"
	"sonde/probes/ports"
)

// limits are what bounds everything that is sent, by run and by scan.
type limits struct {
	packets, hostPackets int // per second
	sweep, visit         int // connections open at once, by purpose
	hostConnections      int // open at once to one address
	hostVisits           int // connections begun per second to one address

	timeout time.Duration // of one try of discovery
	tries   int

	maxProbes, maxAnswer int // of one visit
	maxWait              time.Duration
}

// ofConfig gives the limits of a configuration.
func ofConfig(l *config.Limits) limits {
	return limits{packets: l.PacketsPerSecond, hostPackets: l.HostPacketsPerSecond,
		sweep: l.DiscoveryConnections(), visit: l.ConversationConnections(),
		hostConnections: l.HostConnections, hostVisits: l.HostNewConnectionsPerSecond,
		timeout: l.ConnectTimeout, tries: l.Tries,
		maxProbes: l.MaxProbes, maxWait: l.MaxWait, maxAnswer: int(l.MaxAnswer)}
}

// visits is how many conversations fit.
func (l *limits) visits() int { return max(1, l.visit/budget.VisitConnections) }

// perHost is how many of them one address may have.
func (l *limits) perHost() int { return max(1, l.hostConnections/budget.VisitConnections) }

func (l *limits) limiter() (*budget.Limiter, error) {
	return budget.New(budget.Limits{
		PacketsPerSecond: l.packets, HostPacketsPerSecond: l.hostPackets,
		Connections: l.visit, HostConnections: min(l.hostConnections, l.visit),
		HostNewConnectionsPerSecond: l.hostVisits,
	})
}

// newSweeper makes discovery that keeps to the budget. As many as sweeps may run
// at once, and share the connections that discovery may hold.
func newSweeper(l *limits, sweeps int, net *network, lim *budget.Limiter, db *probes.Database, by lane, log *slog.Logger) *capture.Connect {
	return capture.NewConnect(capture.Config{
		Concurrency: max(1, l.sweep/max(1, sweeps)), Timeout: l.timeout, Tries: l.tries,
		RetryDelay: l.timeout / 2, Wait: lim.Packet, Guard: net.guardBy(by.via), Log: log,
		Payloads: payloadsOf(db, by.allow), Interface: by.via,
	})
}

// plansOf gives the sweeps that ask every address for every port of both sets:
// one for each transport that has ports, TCP first. Their order is not chosen
// yet.
func plansOf(addrs capture.Addrs, list ports.List) ([]capture.Plan, error) {
	var plans []capture.Plan
	for _, network := range []string{capture.TCP, capture.UDP} {
		p := capture.Plan{Network: network, Addrs: addrs,
			Ports: slices.Collect(list.Of(network).All())}
		if len(p.Ports) == 0 {
			continue
		}
		if _, err := p.Len(); err != nil {
			return nil, err
		}
		plans = append(plans, p)
	}
	return plans, nil
}
