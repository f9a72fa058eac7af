// Package passive learns of hosts and services from frames that pass by: it
// sends nothing, and nothing that it tells is more than a hint to look there.
//
// No sighting leaves it for an address or port that [Config.Contains] does not
// hold. Its memory is fixed when it starts (about 5 MiB, and a socket's ring
// for each interface), and so is how many sightings a second it tells, in all
// and of one host, whatever comes: every frame may be forged.
//
// # Evidence
//
// A SYN-ACK, or a datagram from a service's port, whose request was seen on its
// way before it is worth more than one that comes alone: to forge it one must
// forge the pair, with numbers that fit. So the two are classes with rates of
// their own, and a flood of spoofed SYN-ACKs, at whatever rate up to
// [Config.FramesPerSecond], uses up the small rate of those that come alone,
// while a real service is told of at its first connection. What comes alone is
// told too, as on a mirror that shows one direction only there is nothing else.
// Within a class half of the rate is kept for hosts of which nothing was told
// in the last seconds. Where both directions are forged for thousands of hosts,
// what is real competes with what is not: sightings then are late, but scanning
// stays within its budgets and nothing is invented, as only a visit makes a
// service known.
//
// # Cost
//
// The kernel's filter leaves the first frames of TCP connections, neighbours'
// messages, DHCP, mDNS, and datagrams of watched UDP ports only; these come by
// a socket of their own, so that a stream of them cannot hide a handshake. A
// frame takes 100 to 300 ns, without allocation unless it is told. Of more than
// FramesPerSecond a socket looks at some of each 10 ms only, and counts the
// rest; what the kernel dropped it counts as well. See [Stats].
//
// # What is not seen
//
// Fragments but the first, IPv6 extension headers other than a hop-by-hop
// header before MLD, what has two VLAN tags, and DHCPv6.
package passive

import (
	"log/slog"
	"net/netip"
	"time"
)

// Kind is what a sighting was drawn from.
type Kind string

// The kinds of sightings. No two begin with the same letter.
const (
	SYNACK Kind = "syn-ack" // TCP: a SYN-ACK left the port
	UDP    Kind = "udp"     // UDP: the port answered, or sent to a client's port
	ARP    Kind = "arp"     // host only: it said who it is
	ND     Kind = "nd"      // host only: neighbour discovery or an MLD report
	DHCP   Kind = "dhcp"    // host only: asked for, or granted
	MDNS   Kind = "mdns"    // an announced service, or, with port 0, a host
)

// A MAC is an Ethernet address; all zero is none.
type MAC [6]byte

// A Sighting says that a host, or a service where the port is not 0, was seen.
// It may be forged. Its texts hold printable ASCII only.
type Sighting struct {
	AddrPort  netip.AddrPort // link-local addresses have the interface as zone
	Network   string         // "tcp", "udp", or "" where the port is 0
	Kind      Kind
	Begun     bool   // SYNACK, UDP: the request was seen as well
	MAC       MAC    // ARP, ND, DHCP: of the host, as it says
	Name      string // DHCP, MDNS: its name, as it says
	Vendor    string // DHCP: its vendor class
	Service   string // MDNS: "_ipp._tcp"
	At        time.Time
	Interface string
}

// A Contains says whether a port of an address may be told. With network "" and
// port 0 it is asked about the address alone. It is called for each frame that
// could be a sighting, from several goroutines, and should take no more than
// 100 ns or so.
type Contains func(a netip.Addr, network string, port uint16) bool

// A Range is ports from Lo to Hi, both included.
type Range struct{ Lo, Hi uint16 }

// Config is what a Watcher is made of.
type Config struct {
	// Interfaces are those that it listens on. Empty stands for every
	// interface but loopback with a network of its own that Overlaps takes;
	// which these are is looked up every few seconds.
	Interfaces []string
	Overlaps   func(netip.Prefix) bool
	// Promiscuous also looks at frames between other hosts and of VLANs that
	// pass the interface, as on the port of a mirror. It puts the interfaces
	// into that mode for as long as it runs. VLANs are not told apart.
	Promiscuous bool

	Contains Contains
	UDPPorts []Range // whose datagrams are looked at, rangesMost at most; empty: none

	// OwnPorts are the source ports of our own sweeps, whose frames to and
	// from this box are no news. Zero: none.
	OwnPorts Range

	// PerSecond is how many begun services may be told in a second; the other
	// classes have a part of it each. 0 stands for 200.
	PerSecond int
	// Again is after what time a service is told again that is seen all the
	// time. 0 stands for a minute; hosts take ten times as long.
	Again time.Duration
	// FramesPerSecond is how many frames of one socket are looked at. 0 stands
	// for 400,000, which take about a fifth of a core.
	FramesPerSecond int

	Log *slog.Logger
}

// The defaults and limits of a Config.
const (
	again     = time.Minute
	againHost = 10 // × Again
	// framesPerSecond: a spoofed candidate takes 450 ns with all that the
	// kernel does for its receiver, 260 of them here, so 400,000 take 18 % of a
	// core. It is twice the flood that discovery must bear unharmed.
	framesPerSecond = 400_000
	// rangesMost keeps the filter below the kernel's 4,096 instructions: 64
	// ranges are looked for in two places, three instructions each, for both
	// versions of IP, without a tag and behind two kinds: 2,304.
	rangesMost = 64
	// parsedPerSecond bounds the DHCP and mDNS messages that are parsed: a
	// quiet /16 sends some ten a second, and 2,000 take 1 % of a core.
	parsedPerSecond = 2_000
	// roomMost is how many sightings wait to be taken: what all classes tell
	// in two seconds at the default rate, rounded up to a power of two.
	roomMost = 1 << 10
)

// The sizes of what is remembered; each is fixed memory of 16 bytes a slot.
const (
	// flowSlots: at 20,000 new connections a second and an answer within the
	// usual second 20,000, and within flowKeep some 200,000 of which the
	// oldest may be forgotten. 2 MiB.
	flowSlots = 1 << 17
	// flowKeep is how long an answer may take: Linux sends a SYN again after
	// 1, 3 and 7 s.
	flowKeep = 10 * time.Second
	// endpointSlots: (begunShare + bareShare + announcedShare) × perSecond =
	// 240/s × again = 14,400, twice over. 512 KiB.
	endpointSlots = 1 << 15
	// hostSlots: hostShare × perSecond = 50/s × againHost × again = 30,000,
	// twice over. 1 MiB.
	hostSlots = 1 << 16
	// addressesMost are the IPv6 addresses that are remembered: more than
	// fit on a link in practice (kernels keep 1,024 neighbours). 1 MiB or so.
	addressesMost = 1 << 14
	// addressKeep is how long an address counts that is no longer seen: what
	// is switched on daily is kept.
	addressKeep = 24 * time.Hour
)

func (c *Config) defaults() {
	if c.PerSecond == 0 {
		c.PerSecond = perSecond
	}
	if c.Again == 0 {
		c.Again = again
	}
	if c.FramesPerSecond == 0 {
		c.FramesPerSecond = framesPerSecond
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
