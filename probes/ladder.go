package probes

// The intensities of a scan that have a name. A probe of higher rarity than
// the intensity is only sent to the ports that it lists.
const (
	IntensityLight   = 2
	IntensityDefault = 7
	IntensityAll     = 9
)

// A LadderRequest says what is known of an endpoint and what may be done.
type LadderRequest struct {
	Transport   Transport
	Port        uint16
	Tunnel      Tunnel // once there is one, sslports count instead of ports
	Intensity   int    // 0 to 9
	SoftService string // service that a softmatch line named, or ""
	Allow       Needs  // permissions granted
}

// A Rung is one probe of a ladder.
type Rung struct {
	Probe  *Probe
	Listed bool // the probe lists the port
}

// Ladder gives the probes to send, in order, the NULL probe aside: first
// those that list the port, whatever their rarity, then the others up to the
// intensity, each group in file order.
//
// After a soft match only probes with own lines for exactly that service are
// left, and rarity no longer counts; intensity 9 switches this off. Probes
// whose needs are not allowed are never on the ladder.
func (db *Database) Ladder(r LadderRequest) []Rung {
	narrow := r.SoftService != "" && r.Intensity < IntensityAll
	var listed, others []Rung
	for _, p := range db.probes {
		if p.Transport != r.Transport || p.IsNull() || !p.Needs.Within(r.Allow) {
			continue
		}
		if narrow && !p.Names(r.SoftService) {
			continue
		}
		switch {
		case p.lists(r.Port, r.Tunnel):
			listed = append(listed, Rung{p, true})
		case narrow || p.Rarity <= r.Intensity:
			others = append(others, Rung{p, false})
		}
	}
	return append(listed, others...)
}

func (p *Probe) lists(port uint16, tunnel Tunnel) bool {
	if tunnel != NoTunnel {
		return p.TLSPorts.Contains(port)
	}
	return p.Ports.Contains(port)
}

// UDPPayloads gives the probes that list a UDP port and may be used to find
// out whether it is open, so that the answer identifies the service too.
// Probes with needs that allow does not grant are left out, and of a port that
// the files exclude there is none.
func (db *Database) UDPPayloads(port uint16, allow Needs) []*Probe {
	if db.Exclude.UDP.Contains(port) {
		return nil
	}
	var out []*Probe
	for _, p := range db.probes {
		if p.Transport == UDP && !p.NoPayload && p.Ports.Contains(port) && p.Needs.Within(allow) {
			out = append(out, p)
		}
	}
	return out
}
