package report

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/probes"
	"sonde/probes/ports"
)

// A Run is a whole scan, for the formats that other programs read.
type Run struct {
	Version    string
	Args       []string // the command line
	Method     string   // how TCP ports were found: "syn" or "connect"
	Ports      ports.List
	Hosts      []Host // that are up, in order of address
	Total      int    // addresses asked
	Start, End time.Time
	Failed     error // why it is not whole; nil if it is
}

// firstName gives the name of a host that formats with one name show, or "".
func (h *Host) firstName() string {
	if len(h.Names) > 0 {
		return Printable(h.Names[0])
	}
	if len(h.PTR) > 0 {
		return Printable(h.PTR[0])
	}
	return ""
}

// reason says by what the host was seen to be up.
func (h *Host) reason() string {
	for i := range h.Ports {
		if r := h.Ports[i].Reason; r != "" && h.Ports[i].Outcome != probes.OutcomeHeld {
			return Printable(r)
		}
	}
	for _, n := range h.Hidden {
		if n.State == probes.Closed {
			return Printable(n.Reason)
		}
	}
	return "unknown-response"
}

// sorted gives the listed ports by transport and number.
func (h *Host) sorted() []probes.Observation {
	list := slices.Clone(h.Ports)
	slices.SortFunc(list, func(x, y probes.Observation) int {
		if x.Transport != y.Transport {
			return strings.Compare(string(x.Transport), string(y.Transport))
		}
		return int(x.Port) - int(y.Port)
	})
	return list
}

// version of IP in nmap's words.
func addrType(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}
