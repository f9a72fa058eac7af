package config

import (
	"fmt"
	"math"
	"time"
)

// The arithmetic of the two promises. It takes the worst case that can be
// known before the first packet, in which every address is silent:
//
//	tries     = Limits.Tries for each address and port
//	slots     = one connection for Limits.ConnectTimeout per try
//	packets   = one per try
//
// so one pass of a watch needs addresses × ports × tries packets and as many
// times ConnectTimeout of connection time, and of one address ports × tries
// packets. A visit of a known service is taken to need visitPackets and
// visitTime, and a host to have servicesPerHost of them; how many there are
// in truth is known only later.
//
// Over all watches the packets must fit Limits.PacketsPerSecond, and the
// connection time of tries and of visits its share of Limits.Connections; to
// one address the packets must fit Limits.HostPacketsPerSecond, and the visits
// Limits.HostNewConnectionsPerSecond. Loopback costs nothing: its rates are not
// limited and it refuses at once.
const (
	servicesPerHost = 10
	visitPackets    = 4 // SYN, ACK, one request, FIN
	visitTime       = 2 * time.Second
)

// A Problem is a promise of a watch that cannot hold within the limits.
type Problem struct {
	Watch  string // its name
	Key    string // "discover_every" or "verify_every"
	Reason string // with the remedy
}

// Feasible gives the promises that cannot hold within the limits; nil when
// all can. Watches that are best_effort are counted as load, but have no
// problems of their own.
func (c *Config) Feasible() []Problem {
	var out []Problem
	var total load
	for i := range c.Watches {
		total = total.plus(c.loadOf(&c.Watches[i]))
	}
	for i := range c.Watches {
		w := &c.Watches[i]
		if w.BestEffort {
			continue
		}
		l := c.loadOf(w)
		switch {
		case c.Limits.use(l) > overload: // already alone
			out = append(out, c.tooMuch(w, l))
		case c.Limits.use(total) > overload:
			out = append(out, c.tooMuchTogether(w, total))
		}
		out = append(out, c.hostProblems(w)...)
	}
	return out
}

// A load is what promises cost on average: tries/s and visits/s.
type load struct{ tries, visits float64 }

func (l load) plus(o load) load { return load{l.tries + o.tries, l.visits + o.visits} }

// use is the part of the limits that a load takes: the larger of packets and
// connections. Above 1 it does not hold.
func (l Limits) use(x load) float64 {
	return max((x.tries+x.visits*visitPackets)/float64(l.PacketsPerSecond),
		x.tries*l.ConnectTimeout.Seconds()/float64(l.DiscoveryConnections()),
		x.visits*visitTime.Seconds()/float64(l.ConversationConnections()))
}

// overload allows a millionth over, for rounding.
const overload = 1 + 1e-6

// attempts counts the tries of one pass over one address.
func (c *Config) attempts(w *Watch) float64 {
	return float64(w.TCPPorts.Len()+w.UDPPorts.Len()) * float64(c.Limits.Tries)
}

func (c *Config) loadOf(w *Watch) load {
	addrs := float64(c.Scope(w).Minus(loopback).Len())
	return load{
		tries:  addrs * c.attempts(w) / w.DiscoverEvery.Seconds(),
		visits: addrs * servicesPerHost / w.VerifyEvery.Seconds(),
	}
}

// tooMuch explains a watch that does not hold alone. If the visits leave less
// than half, it is they that must become rarer.
func (c *Config) tooMuch(w *Watch, l load) Problem {
	addrs := c.Scope(w).Len()
	if visits := c.Limits.use(load{visits: l.visits}); visits > 0.5 {
		need := short(seconds(2 * visits * w.VerifyEvery.Seconds()))
		return Problem{w.Name, "verify_every", fmt.Sprintf(
			"%s cannot hold: visits to %d addresses with %d services each take %.0f %% of limits.packets_per_second or connections; "+
				"write %s or more, watch fewer targets, or set best_effort",
			short(w.VerifyEvery), addrs, servicesPerHost, 100*visits, need)}
	}
	ports := w.TCPPorts.Len() + w.UDPPorts.Len()
	need := short(seconds(c.slowEnough(l) * w.DiscoverEvery.Seconds()))
	return Problem{w.Name, "discover_every", fmt.Sprintf(
		"%s cannot hold: one pass of %d addresses and %d ports is %.0f tries if all stay silent, "+
			"which take up to %s within limits.packets_per_second and limits.connections; "+
			"write %s or more, fewer ports or targets, or set best_effort",
		short(w.DiscoverEvery), addrs, ports, float64(addrs)*c.attempts(w), need, need)}
}

// slowEnough is the factor by which a pass must become longer so that the
// load, whose visits take at most half, holds.
func (c *Config) slowEnough(l load) float64 {
	left := float64(c.Limits.PacketsPerSecond) - l.visits*visitPackets
	return max(l.tries/left, l.tries*c.Limits.ConnectTimeout.Seconds()/float64(c.Limits.DiscoveryConnections()))
}

func (c *Config) tooMuchTogether(w *Watch, total load) Problem {
	return Problem{w.Name, "discover_every", fmt.Sprintf(
		"%s cannot hold: all watches together need %.0f tries and %.0f visits per second, %.1f times the limits; "+
			"make discover_every and verify_every of the watches longer by that, watch less, or set best_effort",
		short(w.DiscoverEvery), total.tries, total.visits, c.Limits.use(total))}
}

// hostProblems checks the limits of one address.
func (c *Config) hostProblems(w *Watch) []Problem {
	if NewAddrSet(w.Targets...).Minus(loopback).Len() == 0 {
		return nil
	}
	var out []Problem
	pass := c.attempts(w) / float64(c.Limits.HostPacketsPerSecond)
	if pass > w.DiscoverEvery.Seconds() {
		out = append(out, Problem{w.Name, "discover_every", fmt.Sprintf(
			"%s cannot hold: %d ports of one silent address take %s at limits.host_packets_per_second = %d; "+
				"write that or more, fewer ports, or set best_effort",
			short(w.DiscoverEvery), w.TCPPorts.Len()+w.UDPPorts.Len(), short(seconds(pass)), c.Limits.HostPacketsPerSecond)})
	}
	visits := servicesPerHost / float64(c.Limits.HostNewConnectionsPerSecond)
	if visits > w.VerifyEvery.Seconds() {
		out = append(out, Problem{w.Name, "verify_every", fmt.Sprintf(
			"%s cannot hold: a host with %d services takes %s at limits.host_new_connections_per_second = %d; "+
				"write that or more, or set best_effort",
			short(w.VerifyEvery), servicesPerHost, short(seconds(visits)), c.Limits.HostNewConnectionsPerSecond)})
	}
	return out
}

// seconds rounds up to what a person would write, and stays below overflow.
func seconds(s float64) time.Duration {
	unit := 1.0
	switch {
	case s > 2*86400:
		unit = 3600
	case s > 7200:
		unit = 60
	}
	return time.Duration(min(math.Ceil(s/unit)*unit, 1e9)) * time.Second
}
