package inventory

import (
	"net/netip"
	"time"
)

// A Pass is one sweep of a scope: all Ports of all Targets but Exclude.
type Pass struct {
	Watch   string
	Zone    string
	Method  string // as in Visit; "udp:…" covers UDP ports, all others TCP ports
	Targets []netip.Prefix
	Exclude []netip.Prefix
	Ports   string // ascending ranges without spaces: "22,80,8000-8100"

	Started time.Time
	Done    time.Time

	// Degraded says that the pass proves nothing absent: packets were
	// dropped, an interface was lost, or the budget did not suffice.
	Degraded bool
}
