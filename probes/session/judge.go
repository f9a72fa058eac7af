package session

import (
	"strings"

	"sonde/match"
	"sonde/probes"
)

// A finding is what one final answer says.
type finding struct {
	probe    *probes.Probe // nil for a greeting without a NULL probe
	answer   []byte
	end      ending
	rule     *match.Rule
	id       match.Identity
	strength probes.Strength // "" before there is any answer
}

// rank orders strengths.
func rank(s probes.Strength) int {
	switch s {
	case probes.Hard:
		return 3
	case probes.Soft:
		return 2
	case probes.Unmatched:
		return 1
	}
	return 0
}

// look matches the answer of a lane that has ended.
func (v *visit) look(ln *lane) {
	l := ln.line
	ln.state = laneEnded
	if !l.answer.heard() {
		return
	}
	ln.found, ln.undecided = find(ln.probe, v.scratch, l.answer.buf)
	ln.found.end = l.answer.end
	ln.found.id.Service, ln.tunnelled = strings.CutPrefix(ln.found.id.Service, "ssl/")
	if ln.found.rule != nil {
		l.service = ln.found.id.Service
	}
}

// judge draws the conclusion from a lane that has ended, now that it is its
// turn, and keeps what is stronger than before. The visit is over after a hard
// match, or goes on in the tunnel that it names. The fields are those of one
// rule (part 2, row 2).
func (v *visit) judge(ln *lane) (over bool) {
	l, f := ln.line, ln.found
	switch {
	case l.answer.heard():
	case ln.null && l.open():
		v.unheard = true
		return false
	default:
		v.closing(l)
		return v.shut
	}
	v.heard = true
	v.seen(l.answer.last)
	if v.completes {
		v.improve(f)
		return true
	}
	v.cut = v.cut || f.end == cutShort
	for _, rule := range ln.undecided {
		v.undecided = true
		v.note("rule %s reached a limit", rule.Name())
	}
	if f.blocked() {
		v.refuse(f)
		return true
	}
	v.keep(f)
	if f.strength != probes.Hard {
		v.draw(f)
		return false
	}
	inside := v.ep.Transport == probes.UDP || v.tunnel != probes.NoTunnel || v.shut
	if !inside && ln.leads() {
		v.leads = true
		if ln.tunnelled {
			v.behind = &f
		}
	}
	return true
}

// blocked reports whether the peer says that it refuses us, and not what it is.
func (f *finding) blocked() bool { return f.rule != nil && f.rule.Blocked }

// refuse ends the visit by an answer that is about us. It tells which protocol
// refuses, and nothing else of the service.
func (v *visit) refuse(f finding) {
	v.outcome, v.reason = probes.OutcomeBlocked, "the peer says that it refuses us"
	f.id, f.strength = match.Identity{Service: f.id.Service}, probes.Soft
	v.keep(f)
}

// draw keeps what a probe drew, for the fingerprint of a service that no line
// explains (part 1, J.1).
func (v *visit) draw(f finding) {
	a := probes.Answer{
		Tunnel: v.tunnel, Length: len(f.answer),
		Data: f.answer[:min(len(f.answer), probes.MaxAnswerData)],
	}
	if f.probe != nil {
		a.Probe = f.probe.Name
	}
	v.answers = append(v.answers, a)
}

// glimpse keeps what was heard on l of an answer whose end is not known.
func (v *visit) glimpse(l *line) {
	pr := l.probe
	if pr == nil {
		pr = v.p.db.Null()
	}
	f, _ := find(pr, v.scratch, l.answer.buf)
	f.end = l.answer.end
	f.id.Service = strings.TrimPrefix(f.id.Service, "ssl/")
	v.heard = true
	v.seen(l.answer.last)
	v.keep(f)
}

// find matches an answer. Without a probe nothing can be known of it.
func find(pr *probes.Probe, sc *match.Scratch, answer []byte) (finding, []*match.Rule) {
	f := finding{probe: pr, answer: answer, strength: probes.Unmatched}
	if pr == nil {
		return f, nil
	}
	res := pr.Search().Match(sc, answer)
	if res.Rule != nil {
		f.rule, f.id, f.strength = res.Rule, res.Identity, probes.Hard
		if res.Rule.Soft {
			f.strength = probes.Soft
		}
	}
	return f, res.Undecided
}

// keep remembers the strongest finding: of two soft ones the first (part 1,
// F.4), of two unknown answers the longer, which tells a reader more.
func (v *visit) keep(f finding) {
	have, got := rank(v.best.strength), rank(f.strength)
	longer := f.strength == probes.Unmatched && len(f.answer) > len(v.best.answer)
	if got > have || got == have && longer {
		v.best = f
	}
}
