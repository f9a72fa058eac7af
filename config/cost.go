package config

import (
	"math"
	"time"
)

// The arithmetic of the two promises. It takes the worst case that can be
// known before the first packet, in which every address is silent:
//
//	tries     = Limits.Tries for each address and port, a UDP port times its
//	            datagrams
//	slots     = one connection for Limits.ConnectTimeout per try; none where
//	            discovery sends packets of its own
//	packets   = one per try
//
// so one pass of a watch needs addresses × ports × tries packets and as many
// times ConnectTimeout of connection time, and of one address ports × tries
// packets. A visit of a known service is taken to need visitPackets and
// visitTime, and a host to have ServicesPerHost of them; how many there are
// in truth is known only later.
//
// Over all watches the packets must fit Limits.PacketsPerSecond, and the
// connection time of tries and of visits its share of Limits.Connections; to
// one address the packets must fit Limits.HostPacketsPerSecond, and the visits
// Limits.HostNewConnectionsPerSecond. Loopback costs nothing: its rates are not
// limited and it refuses at once.
const (
	visitPackets = 4 // SYN, ACK, one request, FIN
	visitTime    = 2 * time.Second
)

// active is how much of a promise's time there is to send in at least: that
// which fits into the longest of the active hours without a break, or what they
// are of so long a time on average.
func (w *Watch) active(every time.Duration) time.Duration {
	if len(w.ActiveHours.Spans) == 0 {
		return every
	}
	share, longest := w.ActiveHours.share()
	return min(every, max(longest, time.Duration(share*float64(every))))
}

// visitLoad is how many visits come to each that a promise needs at least, as
// they come early enough for a queue: a tenth of the time, but at least a minute
// and at most a third is left for that, and a visit comes up to an eighteenth
// before its latest turn.
func visitLoad(every time.Duration) float64 {
	room := min(max(every/10, time.Minute), every/3)
	return 18.0 / 17 * float64(every) / float64(every-room)
}

// ServicesPerHost is how many services a host is taken to have where it is not
// known. Two are common, ten are many.
const ServicesPerHost = 10

// Costing says how ports are found, which decides what a try costs. The zero
// value is the worst case: a connect each, and one datagram to a UDP port.
type Costing struct {
	SYN bool // packets of our own, which hold no connection
	// Datagrams counts what one try of a UDP port sends; nil: 1.
	Datagrams func(w *Watch, port uint16) int
}

// Costing is what the promises must hold for: with [Auto] that is the worse
// way, as which one it is depends on the machine.
func (c *Config) Costing() Costing { return Costing{SYN: c.Discovery.Method == SYN} }

// A Cost is what the promises of one watch take, or those of all together.
type Cost struct {
	Addrs    uint64 // in scope; of large networks of IPv6 the hosts that may be found
	Hosts    uint64 // of these, so many are such hosts
	IPv6     uint64 // of these
	Loopback uint64 // of these, which cost nothing

	// Tries is the packets of one sweep at most, those to loopback left out,
	// and HostTries those to one address. UDP of them are datagrams.
	Tries, UDP, HostTries float64

	// Sweep is how long one sweep takes at most within the limits when nothing
	// else goes on, and HostSweep how long it keeps one address busy.
	Sweep, HostSweep time.Duration

	TriesPerSecond, VisitsPerSecond float64 // on average
	SearchPerSecond                 float64 // packets that look for hosts

	// The parts of Limits that this takes, 1 for all: PacketsPerSecond,
	// DiscoveryConnections and ConversationConnections.
	Packets, Discovery, Conversations float64
}

// Use is the largest part of a limit that the cost takes. Above 1 it does not
// hold.
func (x Cost) Use() float64 { return max(x.Packets, x.Discovery, x.Conversations) }

// overload allows a millionth over, for rounding.
const overload = 1 + 1e-6

func (x Cost) holds() bool { return x.Use() <= overload }

// Cost gives the cost of w, one of c.Watches.
func (c *Config) Cost(w *Watch, k Costing) Cost {
	scope := c.Walked(w)
	wired := scope.Minus(loopback)
	x := Cost{Addrs: scope.Len(), Loopback: scope.Len() - wired.Len()}
	if len(c.Networks(w).ranges) > 0 {
		x.Hosts = uint64(w.Hosts.Most)
		x.Addrs, x.IPv6 = x.Addrs+x.Hosts, x.IPv6+x.Hosts
	}
	for _, r := range scope.ranges {
		if r.First.Is6() {
			x.IPv6 += r.Size()
		}
	}
	tries, addrs := float64(c.Limits.Tries), float64(wired.Len()+x.Hosts)
	datagrams := tries * float64(k.datagrams(w))
	x.HostTries = tries*float64(w.TCPPorts.Len()) + datagrams
	x.Tries, x.UDP = addrs*x.HostTries, addrs*datagrams
	x.SearchPerSecond = c.searchPerSecond(w, float64(wired.Len()), float64(x.Hosts))
	x.TriesPerSecond = x.Tries / w.active(w.DiscoverEvery).Seconds()
	x.VisitsPerSecond = addrs * ServicesPerHost * visitLoad(w.VerifyEvery) / w.active(w.VerifyEvery).Seconds()
	if addrs == 0 {
		x.HostTries = 0
	}
	return c.Limits.fill(x, k)
}

// Total gives the cost of all watches together. Its Sweep is how long all
// sweeps take when they begin at once, its HostTries and HostSweep are those of
// the watch that asks one address most.
func (c *Config) Total(k Costing) Cost {
	var sum Cost
	for i := range c.Watches {
		x := c.Cost(&c.Watches[i], k)
		sum.Addrs, sum.IPv6, sum.Loopback = sum.Addrs+x.Addrs, sum.IPv6+x.IPv6, sum.Loopback+x.Loopback
		sum.Hosts, sum.SearchPerSecond = sum.Hosts+x.Hosts, sum.SearchPerSecond+x.SearchPerSecond
		sum.Tries, sum.UDP = sum.Tries+x.Tries, sum.UDP+x.UDP
		sum.TriesPerSecond += x.TriesPerSecond
		sum.VisitsPerSecond += x.VisitsPerSecond
		sum.HostTries = max(sum.HostTries, x.HostTries)
	}
	return c.Limits.fill(sum, k)
}

// Ages tells how old knowledge of w gets at most, if all addresses are silent:
// how long a new service goes unseen, and a change of a known one. Each port is
// tried once in every sweep, in an order that no two sweeps share, so the worst
// is a port that comes first in one and last in the next.
func (c *Config) Ages(w *Watch, k Costing) (found, verified time.Duration) {
	sweep := c.sweepAmongAll(w, k)
	if x := c.Cost(w, k); x.Addrs == x.Loopback {
		sweep = 0
	}
	visits := c.Limits.fill(Cost{VisitsPerSecond: c.Total(k).VisitsPerSecond}, k).Use()
	late := time.Duration(float64(w.VerifyEvery) * max(1, visits))
	return max(w.DiscoverEvery, sweep) + sweep, late + c.Limits.MaxWait
}

// sweepAmongAll is how long one sweep of w takes at most while all others go
// on, and visits too: they share the rate evenly.
func (c *Config) sweepAmongAll(w *Watch, k Costing) time.Duration {
	x, total := c.Cost(w, k), c.Total(k)
	left := max(0.1, 1-(total.VisitsPerSecond*visitPackets+total.SearchPerSecond)/float64(c.Limits.PacketsPerSecond))
	alone := x.Sweep.Seconds()
	shared := min(total.Sweep.Seconds(), alone*float64(len(c.Watches)))
	return seconds(max(x.HostSweep.Seconds(), alone, shared/left))
}

// fill works out what follows from tries and visits under the limits.
func (l Limits) fill(x Cost, k Costing) Cost {
	slots := l.ConnectTimeout.Seconds() / float64(l.DiscoveryConnections())
	if k.SYN {
		slots = 0
	}
	rate := float64(l.PacketsPerSecond)
	x.Packets = (x.TriesPerSecond + x.SearchPerSecond + x.VisitsPerSecond*visitPackets) / rate
	x.Discovery = x.TriesPerSecond * slots
	x.Conversations = x.VisitsPerSecond * visitTime.Seconds() / float64(l.ConversationConnections())
	host := x.HostTries / float64(l.HostPacketsPerSecond)
	x.HostSweep = seconds(host)
	x.Sweep = seconds(max(x.Tries/rate, x.Tries*slots, host))
	return x
}

// datagrams counts what one round of tries sends to the UDP ports of w at one
// address.
func (k Costing) datagrams(w *Watch) int {
	if k.Datagrams == nil {
		return w.UDPPorts.Len()
	}
	n := 0
	for port := range w.UDPPorts.All() {
		n += max(1, k.Datagrams(w, port))
	}
	return n
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
