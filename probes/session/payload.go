package session

import (
	"net/netip"
	"strings"

	"sonde/probes"
)

// payload is what is sent for a probe: with the identity of who asks, and the
// name of the target as the host where a protocol has a place for it.
func (p *Prober) payload(pr *probes.Probe, ep probes.Endpoint) []byte {
	return p.identity.Apply(pr.Payload, hostName(ep.Names))
}

// hostName is the first name of a target that can be asked for, or "".
func hostName(names []string) string {
	for _, n := range names {
		if _, err := netip.ParseAddr(n); err != nil && n != "" && !strings.HasPrefix(n, "*") {
			return n
		}
	}
	return ""
}
