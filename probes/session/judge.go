package session

import (
	"context"
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

// judge matches the final answer on l to pr, keeps what is stronger than
// before, and goes into the tunnel that a match names. The visit is over after
// a hard match. The fields are those of one rule (part 2, row 2).
func (v *visit) judge(ctx context.Context, pr *probes.Probe, l *line) (over bool) {
	if !l.answer.heard() {
		v.closing(l)
		return v.shut
	}
	v.heard = true
	v.seen(l.answer.last)
	f, undecided := find(pr, v.scratch, l.answer.buf)
	f.end = l.answer.end
	v.cut = v.cut || f.end == cutShort
	for _, rule := range undecided {
		v.undecided = true
		v.note("rule %s reached a limit", rule.Name())
	}
	inner, tunnelled := strings.CutPrefix(f.id.Service, "ssl/")
	f.id.Service = inner
	v.keep(f)
	switch {
	case f.strength != probes.Hard:
		return false
	case v.ep.Transport == probes.UDP, v.tunnel != probes.NoTunnel, v.shut:
	case f.id.Service == "ssl":
		l.close()
		v.enter(ctx, finding{})
	case tunnelled:
		l.close()
		v.enter(ctx, f)
	}
	return true
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
