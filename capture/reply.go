// Package capture finds out which ports of which addresses answer.
//
// It yields a [Reply] for each answer that it can vouch for. It imports
// nothing of the other packages and decides nothing about what an answer
// means for the inventory.
package capture

import (
	"net/netip"
	"time"
)

// Kind is what an answer was.
type Kind string

// The kinds of answers.
const (
	Accepted    Kind = "accepted"    // TCP: SYN-ACK, or the connect succeeded
	Refused     Kind = "refused"     // TCP: RST; UDP: port unreachable
	Answered    Kind = "answered"    // UDP: a datagram came back
	Unreachable Kind = "unreachable" // ICMP host, network or prohibited, no route
	Silent      Kind = "silent"      // no answer after all tries
)

// A Reply is one answer, or the lack of one, from one port of one address.
type Reply struct {
	Addr    netip.AddrPort
	Network string // "tcp" or "udp"
	Kind    Kind
	Payload []byte // UDP: the answer
	Sent    []byte // UDP: the request that drew it
	Reason  string // "syn-ack", "conn-refused", "no-response", "host-unreach" …
	At      time.Time
}
