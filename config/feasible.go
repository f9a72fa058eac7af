package config

import (
	"fmt"
	"time"
)

// A Problem is a promise of a watch that cannot hold within the limits.
type Problem struct {
	Watch  string // its name
	Key    string // "discover_every" or "verify_every"
	Reason string // with the nearest remedy
}

// Feasible gives the promises that cannot hold within the limits; nil when
// all can. Watches that are best_effort are counted as load, but have no
// problems of their own.
func (c *Config) Feasible(k Costing) []Problem {
	var out []Problem
	total := c.Total(k)
	for i := range c.Watches {
		w := &c.Watches[i]
		if w.BestEffort {
			continue
		}
		x := c.Cost(w, k)
		switch {
		case !x.holds(): // already alone
			out = append(out, c.tooMuch(w, x, k)...)
		case !total.holds():
			out = append(out, c.tooMuchTogether(w, total))
		}
		out = append(out, c.hostProblems(w, x)...)
	}
	return out
}

// tooMuch explains a watch that does not hold alone: what takes more than half of
// a limit must become rarer, a quarter where it looks for hosts. If nothing does,
// it is the sweeps.
func (c *Config) tooMuch(w *Watch, x Cost, k Costing) (out []Problem) {
	if visits := c.visitUse(x); visits > 0.5 {
		need := short(seconds(2 * visits * w.VerifyEvery.Seconds()))
		out = append(out, Problem{Watch: w.Name, Key: "verify_every", Reason: fmt.Sprintf(
			"%s cannot hold: visits to %d addresses with %d services each take %.0f %% of limits.packets_per_second or connections; "+
				"write %s or more, watch fewer targets, or set best_effort",
			short(w.VerifyEvery), x.Addrs, ServicesPerHost, 100*visits, need)})
	}
	if search := x.SearchPerSecond / float64(c.Limits.PacketsPerSecond); search > 0.25 {
		out = append(out, Problem{Watch: w.Name, Key: "hosts_every", Reason: fmt.Sprintf(
			"%s cannot hold: looking for %d hosts takes %.0f %% of limits.packets_per_second; "+
				"write %s or more, do without echo, or set best_effort",
			short(w.Hosts.Every), x.Addrs-x.Loopback, 100*search, short(c.searchEnough(w, x)))})
	}
	if len(out) > 0 && c.Limits.fill(Cost{TriesPerSecond: x.TriesPerSecond}, k).Use() <= 0.5 {
		return out
	}
	ports := w.TCPPorts.Len() + w.UDPPorts.Len()
	need := short(c.slowEnough(w, x, k))
	limits := "limits.packets_per_second and limits.connections"
	if k.SYN {
		limits = "limits.packets_per_second"
	}
	return append(out, Problem{Watch: w.Name, Key: "discover_every", Reason: fmt.Sprintf(
		"%s cannot hold: one pass of %d addresses and %d ports is %.0f tries if all stay silent, "+
			"which take up to %s within %s; write %s or more, fewer ports or targets, or set best_effort",
		short(w.DiscoverEvery), x.Addrs, ports, x.Tries, need, limits, need)})
}

// visitUse is the part of the limits that the visits alone take.
func (c *Config) visitUse(x Cost) float64 {
	return c.Limits.fill(Cost{VisitsPerSecond: x.VisitsPerSecond}, Costing{}).Use()
}

// searchEnough is the hosts_every with which looking for hosts takes a quarter of
// the packets.
func (c *Config) searchEnough(w *Watch, x Cost) time.Duration {
	return seconds(4 * x.SearchPerSecond / float64(c.Limits.PacketsPerSecond) * w.Hosts.Every.Seconds())
}

// slowEnough is the discover_every with which the load holds once visits take at
// most half, and looking for hosts a quarter.
func (c *Config) slowEnough(w *Watch, x Cost, k Costing) time.Duration {
	rate := float64(c.Limits.PacketsPerSecond)
	left := rate - min(x.VisitsPerSecond*visitPackets, rate/2) - min(x.SearchPerSecond, rate/4)
	longer := max(x.TriesPerSecond/left, c.Limits.fill(x, k).Discovery)
	return seconds(longer * w.DiscoverEvery.Seconds())
}

func (c *Config) tooMuchTogether(w *Watch, total Cost) Problem {
	return Problem{Watch: w.Name, Key: "discover_every", Reason: fmt.Sprintf(
		"%s cannot hold: all watches together need %.0f tries and %.0f visits per second, %.1f times the limits; "+
			"make discover_every and verify_every of the watches longer by that, watch less, or set best_effort",
		short(w.DiscoverEvery), total.TriesPerSecond, total.VisitsPerSecond, total.Use())}
}

// hostProblems checks the limits of one address.
func (c *Config) hostProblems(w *Watch, x Cost) []Problem {
	if x.Addrs == x.Loopback {
		return nil
	}
	var out []Problem
	pass := x.HostTries / float64(c.Limits.HostPacketsPerSecond)
	if pass > w.DiscoverEvery.Seconds() {
		out = append(out, Problem{Watch: w.Name, Key: "discover_every", Reason: fmt.Sprintf(
			"%s cannot hold: %d ports of one silent address take %s at limits.host_packets_per_second = %d; "+
				"write that or more, fewer ports, or set best_effort",
			short(w.DiscoverEvery), w.TCPPorts.Len()+w.UDPPorts.Len(), short(seconds(pass)), c.Limits.HostPacketsPerSecond)})
	}
	visits := ServicesPerHost / float64(c.Limits.HostNewConnectionsPerSecond)
	if visits > w.VerifyEvery.Seconds() {
		out = append(out, Problem{Watch: w.Name, Key: "verify_every", Reason: fmt.Sprintf(
			"%s cannot hold: a host with %d services takes %s at limits.host_new_connections_per_second = %d; "+
				"write that or more, or set best_effort",
			short(w.VerifyEvery), ServicesPerHost, short(seconds(visits)), c.Limits.HostNewConnectionsPerSecond)})
	}
	return out
}
