package config

import (
	"fmt"
	"slices"
	"time"
)

// Hosts is how hosts are looked for. An IPv6 network of more than maxIPv6
// addresses is never walked: its hosts are looked for, and those that are found
// are asked like any address. Echo holds for the other targets too.
type Hosts struct {
	Every    time.Duration // how often hosts are looked for
	Echo     bool          // by ICMP echo to each address, or host that is known
	AllNodes string        // by ICMPv6 echo to all nodes of a link: Auto, Always or Never; see CallsAllNodes
	Most     int           // hosts that are kept of networks that are not walked
}

func defaultHosts() Hosts { return Hosts{Every: 10 * time.Minute, AllNodes: Auto, Most: 256} }

// When all nodes are called; Auto stands for the method of discovery, too.
const (
	Always = "always"
	Never  = "never"
)

// Bounds of Hosts. Calling all nodes takes a few packets, but wakes the link.
const (
	minHostsEvery = 10 * time.Second
	maxHosts      = maxIPv6
	maxEcho       = 1 << 22 // IPv4 addresses, a /10: a bit is held for each
)

// Walked says whether a target is small enough for each of its addresses to be
// asked.
func (r Range) Walked() bool { return r.First.Is4() || r.Size() <= maxIPv6 }

// Walked gives the part of the scope of w whose addresses are asked one by one:
// that of its targets which are no large networks of IPv6.
func (c *Config) Walked(w *Watch) AddrSet { return c.scope(w, Range.Walked) }

// Networks gives the rest of it, whose hosts have to be found.
func (c *Config) Networks(w *Watch) AddrSet { return c.Scope(w).Minus(c.Walked(w)) }

// CallsAllNodes says whether all nodes of the links are called that the networks of
// w lie on. All on such a link hear that, so that where an exclude names a part of
// a network, nobody is called, unless the configuration says that it may be.
func (c *Config) CallsAllNodes(w *Watch) bool {
	if w.Hosts.AllNodes != Auto {
		return w.Hosts.AllNodes == Always
	}
	return !slices.ContainsFunc(w.Targets, func(r Range) bool {
		return !r.Walked() && slices.ContainsFunc(c.Excluded.ranges, r.Overlaps)
	})
}

// Searches says whether hosts of w are looked for at all.
func (c *Config) Searches(w *Watch) bool {
	if len(c.Networks(w).ranges) > 0 {
		return true
	}
	return w.Hosts.Echo && c.Walked(w).Minus(loopback).Len() > 0
}

// checkWatchTargets says what stands against the targets of a watch. Large
// networks count by what is known of them, not by their addresses.
func checkWatchTargets(w *Watch) error {
	large := slices.DeleteFunc(slices.Clone(w.Targets), Range.Walked)
	small := slices.DeleteFunc(slices.Clone(w.Targets), func(r Range) bool { return !r.Walked() })
	if err := CheckTargets(small, w.IAmAuthorised); err != nil {
		return err
	}
	if n := NewAddrSet(small...).Len(); w.Hosts.Echo && n > maxEcho {
		return fmt.Errorf("%d addresses are more than echo can ask (4,194,304, a /10); narrow the targets, or do without echo", n)
	}
	for _, r := range large {
		if public := NewAddrSet(r).Minus(private).Ranges(); len(public) > 0 && !w.IAmAuthorised {
			return fmt.Errorf("%s is not private; narrow the targets, "+
				"or set i_am_authorised if you may scan it", public[0])
		}
	}
	return nil
}

// searchPerSecond is what looking for hosts sends at most: each address is asked
// for by ARP or neighbour discovery, and by echo. A call to all nodes is nothing
// beside that.
func (c *Config) searchPerSecond(w *Watch, walked, hosts float64) float64 {
	if !w.Hosts.Echo {
		walked = 0
	}
	return (walked + hosts) * float64(c.Limits.Tries+1) / w.active(w.Hosts.Every).Seconds()
}
