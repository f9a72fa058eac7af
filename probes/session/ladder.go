package session

import (
	"slices"
	"strings"
	"sync"

	"sonde/probes"
)

// A ladderKey is what decides which probes may be asked, and in which order.
type ladderKey struct {
	transport  probes.Transport
	port       uint16
	tunnel     probes.Tunnel
	soft       string
	industrial bool
}

// maxLadders is how many ladders a Prober remembers. With the 190 probes of
// the largest known database they take 1.5 MiB at most.
const maxLadders = 1024

// ladders remembers the ladders made last, so that visits which wait share
// them. They are never changed.
type ladders struct {
	mu    sync.Mutex
	known map[ladderKey][]*probes.Probe
}

// ladder gives the probes that may be asked, in order (part 1, E.3).
func (p *Prober) ladder(k ladderKey) []*probes.Probe {
	c := &p.ladders
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[k]
	if ok {
		return known
	}
	if c.known == nil || len(c.known) >= maxLadders {
		c.known = make(map[ladderKey][]*probes.Probe)
	}
	made := p.newLadder(k)
	c.known[k] = made
	return made
}

func (p *Prober) newLadder(k ladderKey) []*probes.Probe {
	var out []*probes.Probe
	for _, r := range p.db.Ladder(probes.LadderRequest{
		Transport:   k.transport,
		Port:        k.port,
		Tunnel:      k.tunnel,
		Intensity:   p.settings.Intensity,
		SoftService: k.soft,
		Allow:       p.settings.Allow.Needs(),
	}) {
		switch {
		case k.tunnel == probes.TLS && isHello(r.Probe.Payload):
		case k.industrial && r.Probe.Needs&probes.NeedIndustrial == 0:
		default:
			out = append(out, r.Probe)
		}
	}
	return slices.Clip(out)
}

// next is the first probe of the ladder that was not asked yet, or nil. A soft
// match on the way narrows what is left (part 1, E.4). A peer that answered the
// offer of TLS with something else is asked by a hello first: that answer came
// before all others.
func (v *visit) next() *probes.Probe {
	var first *probes.Probe
	for _, pr := range v.p.ladder(ladderKey{
		v.ep.Transport, v.ep.Port, v.tunnel, v.softService(), v.industrial,
	}) {
		switch {
		case slices.Contains(v.asked, pr):
		case v.answersHello && isHello(pr.Payload) && pr.Ports.Contains(v.ep.Port):
			return pr
		case first == nil:
			first = pr
		}
	}
	return first
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
		v.asked = append(v.asked, pr)
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
