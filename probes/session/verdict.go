package session

import (
	"time"

	"sonde/probes"
	"sonde/probes/ports"
)

// Observation is what the visit has found out until now.
func (m *Machine) Observation(now time.Time) probes.Observation {
	if m.extras != nil {
		return m.extras.observation
	}
	return m.visit.observe(now)
}

// observe is what is known of the identity.
func (v *visit) observe(now time.Time) probes.Observation {
	o := probes.Observation{
		Addr:      v.ep.Addr,
		Port:      v.ep.Port,
		Transport: v.ep.Transport,
		Names:     v.ep.Names,
		TLS:       v.tls,
		At:        v.lastAt,
		Database:  v.p.db.Hash,
		Asked:     v.names,
		Errors:    v.errors,
		Goodbyes:  v.goodbyes,
		Turn:      v.known.Turn,
		Cost: probes.Cost{
			Connections: v.budget.connections,
			Probes:      v.budget.probes,
			BytesOut:    v.budget.out,
			BytesIn:     v.budget.in,
			Millis:      now.Sub(v.started).Milliseconds(),
		},
	}
	o.Outcome, o.Reason = v.verdict()
	o.State = v.portState()
	if v.heard || len(v.tls) > 0 {
		o.Tunnel = v.tunnel
	}
	switch {
	case v.shaken:
		o.Offer = v.offering.at
	case v.shut && v.offering != nil:
		o.Offer = v.offering.most()
	case v.shut:
		o.Offer = v.known.Offer
	}
	v.identify(&o)
	if o.Strength != probes.Hard {
		o.Answers = v.answers
	}
	return o
}

// verdict tells the outcomes apart that the reference calls tcpwrapped or
// nothing at all (part 2, row 9).
func (v *visit) verdict() (probes.Outcome, string) {
	reason := "syn-ack"
	if v.ep.Transport == probes.UDP {
		reason = "udp-response"
	}
	switch {
	case v.outcome != "" && v.outcome != probes.OutcomeInconclusive:
		return v.outcome, v.reason
	case v.interrupted != "":
		return probes.OutcomeInconclusive, v.interrupted
	case v.outcome != "":
		return v.outcome, v.reason
	case v.undecided:
		return probes.OutcomeUndecided, reason
	case v.best.end == cutShort, v.cut && v.best.strength != probes.Hard:
		return probes.OutcomeInconclusive, "answer without an end"
	case v.stalled && v.best.strength == "":
		return probes.OutcomeInconclusive, "handshake without an end"
	case v.known.Probe != "" && v.accepted && !v.heard && !v.lingered && !v.shut:
		return probes.OutcomeBlocked, "closed without an answer, and answered before"
	case v.heard || len(v.tls) > 0:
		return probes.OutcomeAnswered, reason
	case v.accepted && !v.lingered:
		return probes.OutcomeTCPWrapped, reason
	case v.ep.Transport == probes.UDP:
		return probes.OutcomeSilent, "no-response"
	}
	return probes.OutcomeSilent, reason
}

func (v *visit) portState() probes.State {
	switch {
	case v.heard || v.accepted:
		return probes.Open
	case v.state != "":
		return v.state
	case v.ep.Transport == probes.UDP && v.outcome == "" && v.budget.probes > 0:
		return probes.OpenOrFiltered
	}
	return "" // not asked
}

// identify sets the identity and its evidence: of the best answer, or else
// what the port number alone suggests.
func (v *visit) identify(o *probes.Observation) {
	b := &v.best
	o.Strength = probes.Unmatched
	if b.rule != nil {
		o.Identity, o.Strength = b.id, b.strength
		o.Rule, o.Probe = b.rule.Pos.String(), b.probe.Name
	} else if o.State == probes.Open || o.State == probes.OpenOrFiltered || o.Outcome == probes.OutcomeHeld {
		if name := ports.Name(v.ep.Port, string(v.ep.Transport)); name != "" {
			o.Service, o.Strength = name, probes.Table
		}
	}
	if len(b.answer) == 0 {
		return
	}
	o.Evidence = &probes.Evidence{
		Database: v.p.db.Hash,
		Answer:   probes.Bytes(b.answer),
	}
	if b.probe != nil {
		o.Evidence.Probe = b.probe.Name
	}
	if b.rule != nil {
		o.Evidence.Rule = b.rule.Name()
	}
}
