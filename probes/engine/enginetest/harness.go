package enginetest

import (
	"net/netip"
	"testing"
	"time"

	"sonde/probes/engine"
)

// A Harness is one loop with peers, as [Contract] needs it.
type Harness struct {
	Loop  engine.Loop
	Close func() error // of the engine

	// Do runs f on the loop and returns when it has run.
	Do func(f func())
	// Wait lets the loop go on until done, which runs on it, says true. It
	// reports false when that does not happen.
	Wait func(done func() bool) bool
	// Serve makes a peer, for the length of the test, and gives its address.
	Serve func(t *testing.T, network string, host netip.Addr, does Behaviour) netip.AddrPort

	// Collected is all that a peer that Collects was sent, when our side has
	// closed.
	Collected func(peer netip.AddrPort) []byte

	// Stats is nil where nothing is counted.
	Stats func() engine.Stats
	// Sockets: the system's own sockets are used.
	Sockets bool
	// Rejects: ICMP errors are told.
	Rejects bool
}

// A Behaviour is what a peer of a [Harness] does.
type Behaviour int

// TCP peers accept, except those that do not. Greeting is what they say.
const (
	Silent      Behaviour = iota // accepts, says nothing and takes nothing
	Greets                       // says Greeting and closes, having read until EOF
	Resets                       // says Greeting, then resets
	Quits                        // says Greeting and closes its half
	Echoes                       // TCP and UDP
	Refuses                      // TCP: RST; UDP: ICMP port unreachable
	Drops                        // the SYN
	Endless                      // sends as fast as it can, until it fails
	OtherPort                    // UDP: answers from another port
	OtherHost                    // UDP: answers from another host, then itself
	Collects                     // keeps all that it is sent for Harness.Collected
	EmptyAnswer                  // UDP: answers with an empty datagram
)

// Greeting is what peers say.
const Greeting = "220 ready\r\n"

var (
	v4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	v6 = netip.IPv6Loopback()
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// Virtual gives a harness on a [Loop] of this package.
func Virtual(t *testing.T) *Harness {
	l := New()
	t.Cleanup(func() { _ = l.Close() })
	port := uint16(1000)
	return &Harness{
		Loop:    l,
		Close:   l.Close,
		Rejects: true,
		Collected: func(peer netip.AddrPort) []byte {
			for _, c := range l.conns {
				if c.d.Remote == peer {
					return c.Remote().Received()
				}
			}
			return nil
		},
		Do: func(f func()) {
			l.Post(f)
			l.Step()
		},
		Wait: func(done func() bool) bool {
			until := l.now.Add(patience)
			for !done() {
				if next, ok := l.next(); !ok || next.After(until) {
					return false
				}
				l.Step()
			}
			return true
		},
		Serve: func(t *testing.T, network string, host netip.Addr, does Behaviour) netip.AddrPort {
			port++
			at := netip.AddrPortFrom(host, port)
			if p := virtualPeer(t, does); p != nil {
				l.Serve(network, at, p)
			}
			return at
		},
	}
}

// hop is how long everything takes on the way to a virtual peer.
const hop = time.Millisecond

// virtualPeer plays a behaviour; nil: nobody is there.
func virtualPeer(t *testing.T, does Behaviour) Peer {
	return func(r *Remote) {
		if does != Drops && does != Refuses && r.Dial().Network == "tcp" {
			r.Accept(hop)
		}
		script, ok := virtualScripts[does]
		if !ok {
			t.Skipf("skipped: no virtual peer does %d", does)
		}
		script(r)
	}
}
