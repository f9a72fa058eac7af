package main

import (
	"math"
	"time"

	"sonde/config"
	"sonde/probes"
)

// A costPlan is what `sonde plan` prints.
type costPlan struct {
	Discovery discoveryPlan `json:"discovery"`
	Watches   []watchPlan   `json:"watches"`
	Total     totalPlan     `json:"total"`
	Problems  []problemPlan `json:"problems"` // [] when all promises hold
	Remedies  [][]string    `json:"remedies"` // lines of the file; each list alone is enough
}

type discoveryPlan struct {
	Method string `json:"method"` // syn or connect
	Reason string `json:"reason"`
}

// A costFigures is what one watch takes at most, or all together.
type costFigures struct {
	Addresses    uint64  `json:"addresses"`               // with the hosts that large networks may have
	NetworkHosts uint64  `json:"network_hosts,omitempty"` // of these, so many are such hosts
	IPv6         uint64  `json:"ipv6_addresses"`
	Loopback     uint64  `json:"loopback_addresses"` // of these, which no limit holds back
	SweepPackets float64 `json:"sweep_packets"`      // of one sweep
	SweepSeconds float64 `json:"sweep_s"`            // one sweep, with nothing else going on

	MeanPacketsPerSecond float64 `json:"mean_packets_per_second"` // sweeps and visits, over the hours
	PeakMbits            float64 `json:"peak_mbit_per_second"`    // while it sweeps, sent
	MeanMbits            float64 `json:"mean_mbit_per_second"`

	VisitsPerHour float64 `json:"visits_per_hour"`
	Connections   int     `json:"connections"` // open at once

	HostPackets float64 `json:"host_sweep_packets"` // to one address in one sweep
	HostSeconds float64 `json:"host_sweep_s"`       // within the limit of one address
}

type watchPlan struct {
	Name      string     `json:"watch"`
	Zone      string     `json:"zone"`
	Interface string     `json:"interface,omitempty"` // that all leaves by
	TCPPorts  int        `json:"tcp_ports"`
	UDPPorts  int        `json:"udp_ports"`
	Ways      []way      `json:"ways"` // how its packets leave this machine
	NoWay     string     `json:"no_way,omitempty"`
	Hosts     *hostsPlan `json:"hosts,omitempty"` // how they are looked for, if they are
	costFigures

	DiscoverEvery float64 `json:"discover_every_s"` // promised
	FoundWithin   float64 `json:"found_within_s"`   // computed, when it goes worst
	VerifyEvery   float64 `json:"verify_every_s"`
	KnownWithin   float64 `json:"verified_within_s"`
	BestEffort    bool    `json:"best_effort,omitempty"`
}

type totalPlan struct {
	costFigures
	// The largest part of any limit that the promises take: 1 is all of it.
	Use          float64        `json:"use"`
	UsePackets   float64        `json:"use_packets_per_second"`
	UseDiscovery float64        `json:"use_discovery_connections"`
	UseVisits    float64        `json:"use_visit_connections"`
	MemoryMiB    int            `json:"memory_mib"`
	Neighbors    []neighborPlan `json:"neighbors"` // [] where no address is on a link
}

type problemPlan struct {
	Watch  string `json:"watch"`
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// newCostPlan computes the plan.
func newCostPlan(cfg *config.Config, db *probes.Database, how method, reach reachFunc) *costPlan {
	k := costing(db, how)
	promised := k // which must hold for the worse way, if either may be
	promised.SYN = cfg.Costing().SYN
	l := &cfg.Limits
	p := &costPlan{Problems: []problemPlan{}, Remedies: [][]string{},
		Discovery: discoveryPlan{how.name, how.reason}}
	var frames meanFrame
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		x := cfg.Cost(w, k)
		f := frameOf(x, w, k, db)
		frames.add(f, x.Tries)
		found, verified := cfg.Ages(w, k)
		out := watchPlan{Name: w.Name, Zone: w.Zone, Interface: w.Interface, Ways: []way{},
			TCPPorts: w.TCPPorts.Len(), UDPPorts: w.UDPPorts.Len(),
			costFigures:   figuresOf(x, l, k, f),
			DiscoverEvery: w.DiscoverEvery.Seconds(), FoundWithin: found.Seconds(),
			VerifyEvery: w.VerifyEvery.Seconds(), KnownWithin: verified.Seconds(),
			BestEffort: w.BestEffort}
		ways, err := waysOf(cfg, w, reach)
		out.Ways = append(out.Ways, ways...)
		out.Hosts = newHostsPlan(cfg, w, k.SYN, reach)
		if err != nil {
			out.NoWay = err.Error()
		}
		p.Watches = append(p.Watches, out)
	}
	x := cfg.Total(k)
	p.Total = totalPlan{costFigures: figuresOf(x, l, k, frames.mean()),
		Use: round(x.Use()), UsePackets: round(x.Packets), UseDiscovery: round(x.Discovery),
		UseVisits: round(x.Conversations), Neighbors: []neighborPlan{}, MemoryMiB: memoryMiB(x, l, k)}
	for _, q := range cfg.Feasible(promised) {
		p.Problems = append(p.Problems, problemPlan(q))
	}
	for _, r := range cfg.Remedies(promised) {
		var lines []string
		for _, s := range r {
			lines = append(lines, s.String())
		}
		p.Remedies = append(p.Remedies, lines)
	}
	return p
}

func figuresOf(x config.Cost, l *config.Limits, k config.Costing, frame float64) costFigures {
	const bits = 8e-6 // Mbit of a byte
	f := costFigures{Addresses: x.Addrs, NetworkHosts: x.Hosts, IPv6: x.IPv6, Loopback: x.Loopback,
		SweepPackets: x.Tries, SweepSeconds: x.Sweep.Seconds(),
		MeanPacketsPerSecond: round(x.TriesPerSecond + x.SearchPerSecond + visitPackets*x.VisitsPerSecond),
		MeanMbits:            round(bits * (x.TriesPerSecond*frame + x.SearchPerSecond*leastOf + x.VisitsPerSecond*visitBytes)),
		VisitsPerHour:        math.Round(x.VisitsPerSecond * 3600),
		HostPackets:          x.HostTries, HostSeconds: x.HostSweep.Seconds()}
	if x.Tries > 0 {
		f.Connections = l.ConversationConnections()
		peak := min(float64(l.PacketsPerSecond), x.Tries) // all of a small sweep in one second
		if !k.SYN {
			f.Connections = l.Connections
			peak = min(peak, float64(l.DiscoveryConnections())/l.ConnectTimeout.Seconds())
		}
		visits := min(x.VisitsPerSecond, float64(l.PacketsPerSecond)/visitPackets)
		f.PeakMbits = round(bits * (peak*frame + visits*visitBytes))
	}
	return f
}

// What a packet takes on an Ethernet: 14 bytes of header, 4 of checksum, 8 of
// preamble and 12 of gap; at least 84 in all.
const (
	ethernet  = 14 + 4 + 8 + 12
	leastOf   = 84
	kernelSYN = 20 + 20
	ourSYN    = 20 + 4 // with the one option that all stacks expect
	udpHead   = 8
	ip4, ip6  = 20, 40

	// visitBytes is what a conversation sends: a handshake, a request of 100
	// bytes and the end, each with its headers. A TLS hello has 300 more.
	visitPackets = 4
	visitBytes   = visitPackets*(ethernet+ip4+32) + 400
)

// frameOf is the mean length on the wire of what a sweep sends.
func frameOf(x config.Cost, w *config.Watch, k config.Costing, db *probes.Database) float64 {
	if x.Tries == 0 || x.Addrs == 0 {
		return leastOf
	}
	six := float64(x.IPv6) / float64(x.Addrs)
	ip := ip4*(1-six) + ip6*six
	syn := max(leastOf, ethernet+ip+kernelSYN)
	if k.SYN {
		syn = max(leastOf, ethernet+ip+ourSYN)
	}
	var payload, datagrams float64
	for port := range w.UDPPorts.All() {
		sent := db.UDPPayloads(port, mannerOf(w).allow.Needs())
		datagrams += float64(max(1, len(sent)))
		for _, p := range sent {
			payload += float64(len(p.Payload))
		}
	}
	udp := x.UDP / x.Tries
	if datagrams == 0 {
		return syn
	}
	return syn*(1-udp) + max(leastOf, ethernet+ip+udpHead+payload/datagrams)*udp
}

// A meanFrame is a mean over watches, by how much they send.
type meanFrame struct{ bytes, packets float64 }

func (m *meanFrame) add(frame, packets float64) {
	m.bytes, m.packets = m.bytes+frame*packets, m.packets+packets
}

func (m *meanFrame) mean() float64 {
	if m.packets == 0 {
		return leastOf
	}
	return m.bytes / m.packets
}

// memoryMiB estimates the resident memory: that of an idle sensor with the
// built-in database, and of what is known and under way.
func memoryMiB(x config.Cost, l *config.Limits, k config.Costing) int {
	const (
		idle       = 48 << 20
		perService = 1 << 10 // in memory and in the database's cache
		perTry     = 24 << 10
		perVisit   = 64 << 10 // with a TLS session
		perTarget  = 0.25     // two bits: asked, and answered
	)
	sum := idle + perService*config.ServicesPerHost*float64(x.Addrs-x.Loopback) +
		perVisit*float64(l.ConversationConnections())
	if k.SYN {
		sum += perTarget * x.Tries / float64(l.Tries)
	} else {
		sum += perTry * float64(l.DiscoveryConnections())
	}
	return int(math.Ceil(sum / (1 << 20)))
}

// round keeps three digits behind the point.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// secs is a number of seconds as a time.
func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
