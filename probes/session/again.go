package session

import (
	"strings"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/ports"
)

// Again says what today's database makes of the evidence of an observation that
// was stored: its identity, strength, rule and evidence anew, and all else as it
// was. Nothing is sent. It is false where the evidence does not tell: it was cut,
// its probe is not in the database, a limit was reached, the answer is now known
// as a refusal, or the identity did not come from it alone.
//
// The answer is searched as it was at the visit: by the lists of the probe that
// drew it. Where no hard line explains it, the Answers of the observation are,
// which other probes drew: the first that one explains is the evidence then, as
// it would have been at the visit.
func Again(sc *match.Scratch, db *probes.Database, was *probes.Observation) (probes.Observation, bool) {
	e := was.Evidence
	if e == nil {
		return probes.Observation{}, false
	}
	if _, ground := groundProgram(was); ground {
		return probes.Observation{}, false
	}
	var now probes.Observation
	known := false
	if !e.Truncated && len(e.Answer) > 0 && (was.Probe == "" || was.Probe == e.Probe) {
		now, known = again(sc, db, was, e)
	}
	if was.Strength == probes.Hard || known && now.Strength == probes.Hard {
		return now, known
	}
	for i := range was.Answers {
		a := &was.Answers[i]
		if len(a.Data) == 0 || a.Length != len(a.Data) {
			continue // no line may look at the beginning alone
		}
		o, ok := again(sc, db, was, &probes.Evidence{Probe: a.Probe, Answer: a.Data})
		if ok && o.Strength == probes.Hard {
			return o, true
		}
	}
	return now, known
}

// again says what today's database makes of one answer.
func again(sc *match.Scratch, db *probes.Database, was *probes.Observation, e *probes.Evidence) (probes.Observation, bool) {
	pr := db.Lookup(was.Transport, e.Probe)
	if pr == nil {
		return probes.Observation{}, false
	}
	f, undecided := find(pr, sc, e.Answer)
	if len(undecided) > 0 || f.blocked() {
		return probes.Observation{}, false
	}
	o := *was
	o.Answers = nil
	o.Identity, o.Strength, o.Rule, o.Probe = match.Identity{}, probes.Unmatched, "", ""
	o.Database = db.Hash
	o.Evidence = &probes.Evidence{Probe: e.Probe, Database: db.Hash, Answer: e.Answer}
	if f.rule != nil {
		o.Identity, o.Strength = f.id, f.strength
		o.Service = strings.TrimPrefix(o.Service, "ssl/")
		o.Rule, o.Probe, o.Evidence.Rule = f.rule.Pos.String(), pr.Name, f.rule.Name()
	} else if name := ports.Name(o.Port, string(o.Transport)); name != "" {
		o.Service, o.Strength = name, probes.Table
	}
	return o, true
}
