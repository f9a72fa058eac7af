package session

import (
	"fmt"
	"strings"

	"sonde/match"
	"sonde/probes"
)

// Identify says what a recorded answer tells, without a network: the answer
// to the named probe, or to just connecting when that is NULL. It is final as
// it stands. Permissions do not count.
//
// A name that the database lacks is said in Reason; then the lists of all
// probes of the transport are tried, NULL first, for the first hard match or
// else the first soft one.
func Identify(db *probes.Database, t probes.Transport, probe string, answer []byte) probes.Observation {
	return IdentifyWith(match.NewScratch(), db, t, probe, answer)
}

// IdentifyWith is [Identify] for many answers: sc is the memory of the
// searches, which belongs to one goroutine at a time.
func IdentifyWith(sc *match.Scratch, db *probes.Database, t probes.Transport, probe string,
	answer []byte) probes.Observation {
	o := probes.Observation{
		Transport: t,
		Strength:  probes.Unmatched,
		Outcome:   probes.OutcomeAnswered,
		Database:  db.Hash,
	}
	if len(answer) == 0 {
		o.Outcome = probes.OutcomeSilent
		return o
	}
	tried := []*probes.Probe{db.Lookup(t, probe)}
	if tried[0] == nil {
		o.Reason = fmt.Sprintf("unknown probe %q; all lists tried", probe)
		tried = db.Ordered(t)
		if null := db.Null(); null != nil && t == probes.TCP {
			tried = append([]*probes.Probe{null}, tried...)
		}
	}
	var best finding
	for _, pr := range tried {
		f, undecided := find(pr, sc, answer)
		for _, rule := range undecided {
			o.Outcome = probes.OutcomeUndecided
			o.Errors = append(o.Errors, fmt.Sprintf("rule %s reached a limit", rule.Name()))
		}
		if rank(f.strength) > rank(best.strength) {
			best = f
		}
		if best.strength == probes.Hard {
			break
		}
	}
	if best.rule != nil {
		o.Identity, o.Strength = best.id, best.strength
		o.Rule, o.Probe = best.rule.Pos.String(), best.probe.Name
		inner, tunnelled := strings.CutPrefix(o.Service, "ssl/")
		if o.Service = inner; tunnelled {
			o.Tunnel = probes.TLS
		}
	}
	return o
}
