package session

import (
	"sonde/probes"
	"sonde/probes/ports"
)

// printers are the TCP ports at which many printers put every byte that comes
// in on paper.
var printers = ports.OfRanges(ports.Range{First: 9100, Last: 9116}, ports.Range{First: 9999, Last: 9999})

// industrial are ports of controllers whose small stacks are known to stop at
// bytes of another protocol. They get no ladder, only what is made for them.
var industrial = ports.List{
	TCP: ports.Of(
		102,   // S7, MMS
		502,   // Modbus
		789,   // Crimson
		1911,  // Fox
		2404,  // IEC 60870-5-104
		4911,  // Fox in TLS
		18245, // SRTP
		20000, // DNP3
		44818, // EtherNet/IP
	),
	UDP: ports.Of(
		623,   // IPMI
		20000, // DNP3
		44818, // EtherNet/IP
		47808, // BACnet
	),
}

// held gives the reason why policy forbids to speak to the endpoint, or "".
func (v *visit) held() string {
	allow := v.p.settings.Allow
	switch {
	case v.p.db.Exclude.Contains(string(v.ep.Transport), v.ep.Port):
		return "excluded"
	case v.ep.Transport == probes.TCP && !allow.Held && printers.Contains(v.ep.Port):
		return "print port"
	case v.industrial && !allow.Industrial:
		return "industrial port"
	}
	return ""
}

// isIndustrial reports whether the port is one of [industrial], or belongs to
// a probe that the database keeps for such ports.
func isIndustrial(db *probes.Database, ep probes.Endpoint) bool {
	if industrial.Contains(string(ep.Transport), ep.Port) {
		return true
	}
	for p := range db.Probes() {
		if p.Transport == ep.Transport && p.Needs&probes.NeedIndustrial != 0 && p.Ports.Contains(ep.Port) {
			return true
		}
	}
	return false
}
