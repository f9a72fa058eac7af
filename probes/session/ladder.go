package session

import (
	"strings"

	"sonde/probes"
)

// next is the first probe of the ladder that was not asked yet, or nil. A soft
// match on the way narrows what is left (part 1, E.4).
func (v *visit) next() *probes.Probe {
	rungs := v.p.db.Ladder(probes.LadderRequest{
		Transport:   v.ep.Transport,
		Port:        v.ep.Port,
		Tunnel:      v.tunnel,
		Intensity:   v.budget.max.Intensity,
		SoftService: v.softService(),
		Allow:       v.budget.max.Allow.Needs(),
	})
	for _, r := range rungs {
		switch {
		case v.asked[r.Probe]:
		case v.tunnel == probes.TLS && isHello(r.Probe.Payload):
		case v.industrial && r.Probe.Needs&probes.NeedIndustrial == 0:
		default:
			return r.Probe
		}
	}
	return nil
}

func (v *visit) softService() string {
	if v.best.strength != probes.Soft {
		return ""
	}
	return v.best.id.Service
}

// notTried records the probes that a spent budget leaves out.
func (v *visit) notTried(why string) {
	var names []string
	for pr := v.next(); pr != nil; pr = v.next() {
		names = append(names, pr.Name)
		v.asked[pr] = true
	}
	v.note("%s: not tried: %s", why, strings.Join(names, " "))
}

// isHello reports whether a payload begins a TLS handshake, which is of no use
// in a tunnel.
func isHello(payload []byte) bool {
	const handshake = 22
	return len(payload) > 1 && payload[0] == handshake && payload[1] == 3
}

// isTLSPort reports whether the database expects a tunnel at the port: one of
// its TLS hellos lists it, or some probe lists it in sslports and none without
// a tunnel. There TLS is tried right after the greeting's grace, which finds
// the same as the ladder does with its hellos, sooner.
//
// A port that is listed both ways is asked in clear first: a plain service may
// wait for the end of what it takes for a long line.
func (v *visit) isTLSPort() bool {
	if v.notTLS || v.industrial {
		return false
	}
	tunnelled, plain := false, false
	for p := range v.p.db.Probes() {
		switch {
		case p.Transport != probes.TCP:
		case isHello(p.Payload) && p.Ports.Contains(v.ep.Port):
			return true
		default:
			tunnelled = tunnelled || p.TLSPorts.Contains(v.ep.Port)
			plain = plain || p.Ports.Contains(v.ep.Port)
		}
	}
	return tunnelled && !plain
}
