package session

import (
	"slices"

	"sonde/probes"
)

// completing is the probe that may tell more than the line that has settled the
// identity, or nil. A revisit leaves the identity as it was told: it is compared
// at the same probe (part 2, row 15).
func (m *Machine) completing() *probes.Probe {
	b := &m.best
	switch {
	case m.completes, m.stopped != "", m.known.Probe != "", m.industrial, m.shut, m.outside:
		return nil
	case b.rule == nil, b.strength != probes.Hard, b.end == cutShort:
		return nil
	}
	for _, pr := range m.p.db.Completing(m.ep.Transport, b.rule) {
		if !slices.Contains(m.asked, pr) && pr.Needs.Within(m.p.settings.Allow.Needs()) &&
			m.budget.spent(len(pr.Payload)) == "" {
			return pr
		}
	}
	return nil
}

// complete asks once more, and finishes.
func (m *Machine) complete(pr *probes.Probe) {
	m.completes = true
	if m.ep.Transport == probes.UDP {
		m.askUDP(pr, func(bool) { m.finish() })
		return
	}
	m.closeAll()
	ln := &lane{probe: pr}
	ln.done = func() {
		if ln.state == laneEnded && ln.line.answer.heard() {
			m.judge(ln)
		}
		m.finish()
	}
	m.run(ln)
}

// improve takes an answer that names the product in place of the one that has
// settled the identity. Its fields are those of one rule (part 2, row 2).
func (v *visit) improve(f finding) {
	if f.strength == probes.Hard && f.id.Product != "" && f.end != cutShort {
		v.best = f
	}
}
