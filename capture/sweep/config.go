package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"sonde/capture/link"
	"sonde/capture/route"
)

// A Range is a range of ports, both ends included.
type Range struct{ First, Last uint16 }

// DefaultPorts lie above the ephemeral range of Linux (32768 to 60999).
var DefaultPorts = Range{61000, 61063}

// maxSourcePorts bounds the range: each port takes two descriptors.
const maxSourcePorts = 4096

// Routes says where packets leave. [route.Table] is one.
type Routes interface {
	Hop(dst netip.Addr, via string) (route.Hop, error)
	Generation() uint64
	Watch() (changes <-chan struct{}, stop func())
}

// Neighbors finds link-layer addresses.
type Neighbors interface {
	// Resolve asks who has the addresses, all of which are neighbours on the
	// link of hop, and calls found for each one that answers; several tries
	// and their waits are its business. Its error is one of this machine, not
	// silence. Calls of found do not overlap, and end before it returns.
	Resolve(ctx context.Context, hop route.Hop, addrs []netip.Addr,
		found func(a netip.Addr, mac [6]byte)) error
}

// A Wire is an interface that packets leave and answers arrive by, in the
// manner of [link.Socket].
type Wire interface {
	Medium() link.Medium
	Send(frames [][]byte) (done int, err error)
	Receive(yield func(frame []byte, at time.Time)) error
	Counters() link.Counters
	Busy() time.Duration // how long Receive has been at what it handed over last
	Close() error
}

// Config is what a [Sweeper] may do, for all its sweeps.
type Config struct {
	Routes    Routes    // required
	Neighbors Neighbors // required where there are links that resolve

	// Open opens the interface that a hop leaves by, to receive what filter
	// passes. If nil it is opened as package link does.
	Open func(hop route.Hop, filter link.Filter) (Wire, error)

	// Interface, if not empty, is the one that all packets leave and come by:
	// Routes are asked with it. The kernel would send RSTs of its own by
	// whichever interface its routes say, so that its TCP is kept from hearing
	// of SourcePorts, and only the Sweeper's RSTs leave.
	Interface string

	// SourcePorts are held for as long as the Sweeper lives; those in use by
	// others are left out. DefaultPorts if zero.
	SourcePorts Range

	// Pace is the budget of all packets, and Hosts that of each host. Nil ones
	// are without limit; [NewRate] and [NewHosts] make some.
	Pace  Pacer
	Hosts HostPacer

	// RetriesPerSecond bounds the packets of one sweep that are not the first
	// to their target, within the budget of all; 0 is no bound of their own.
	RetriesPerSecond int

	// Tries is how often a silent target is asked, 2 if zero, and RetryAfter
	// how long each try waits for its answer, 1 s if zero.
	Tries      int
	RetryAfter time.Duration

	// Patience is how long a sweep waits for an interface or a router that was
	// lost, before it gives targets up as not tried; a minute if zero.
	Patience time.Duration

	// Linger is how long SYN-ACKs that come late are still answered by a RST
	// after their sweep, 64 s if zero: Linux repeats a SYN-ACK for 63 s. Close
	// ends it.
	Linger time.Duration

	// Payloads, if set, gives the datagrams that may draw an answer from a UDP
	// port, one after the other; at most as many as there are source ports are
	// used. Without any, an empty datagram is sent.
	Payloads func(port uint16) [][]byte

	// Notify, if set, learns of interfaces that were lost and came back. It
	// must not block.
	Notify func(Event)

	// Log takes what is worth a person's attention: nothing, if nil.
	Log *slog.Logger
}

// An Event says that discovery by an interface is impossible, or possible
// again.
type Event struct {
	Interface string
	Lost      bool
	Reason    string // of a loss
	At        time.Time
}

// complete fills in the defaults.
func (c *Config) complete() error {
	if c.Routes == nil {
		return errors.New("sweep: no routes")
	}
	if c.SourcePorts == (Range{}) {
		c.SourcePorts = DefaultPorts
	}
	r := c.SourcePorts
	if r.First == 0 || r.Last < r.First || int(r.Last)-int(r.First) >= maxSourcePorts {
		return fmt.Errorf("sweep: source ports %d to %d: must be 1 to %d ports", r.First, r.Last, maxSourcePorts)
	}
	if c.Open == nil {
		c.Open = openLink
	}
	if c.Pace == nil {
		c.Pace = unlimited{}
	}
	if c.Tries <= 0 {
		c.Tries = 2
	}
	setDefault(&c.RetryAfter, time.Second)
	setDefault(&c.Patience, time.Minute)
	setDefault(&c.Linger, 64*time.Second)
	if c.Notify == nil {
		c.Notify = func(Event) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// openLink opens an interface, or the way to this machine itself.
func openLink(hop route.Hop, filter link.Filter) (Wire, error) {
	c := link.Config{Interface: hop.Link.Name, Filter: filter, Senders: emittersMost + 1} // one for resets
	if hop.Local {
		return link.OpenRaw(c)
	}
	return link.Open(c)
}
