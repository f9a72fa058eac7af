package inventory

import (
	"math/bits"
	"slices"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A Swing says how steady the identity of an endpoint is. An observation is a
// visit that says something about the identity; an alternation is one that
// ended a confirmation with what was known before.
type Swing struct {
	Recent   uint32 // the last observations, the newest in bit 0; set: an alternation
	Row      int    // Unstable: observations in a row that saw the same
	Unstable bool   // told to be unstable, and not told to be stable since
	Before   *probes.Observation
	Glimpses []Glimpse // what the alternations ended, newest first
}

// A Glimpse is something that was seen, and gave way to what was known before
// it was confirmed. While an endpoint is unstable, its next sight goes on
// counting where this one ended: of a large pool no member is met often enough
// in a row, and each is to be told once.
type Glimpse struct {
	Candidate probes.Observation
	Seen      Streak
}

// observe counts an observation.
func (s *Swing) observe(equal, alternation bool) {
	s.Recent <<= 1
	if alternation {
		s.Recent |= 1
	}
	switch {
	case !s.Unstable:
	case equal:
		s.Row++
	default:
		s.Row = 1
	}
}

// alternations counts those of the last observations.
func (s *Swing) alternations(of int) int {
	mask := uint32(1)<<min(max(of, 1), MaxUnstableOf-1) - 1
	if of >= MaxUnstableOf {
		mask = ^uint32(0)
	}
	return bits.OnesCount32(s.Recent & mask)
}

// glimpse remembers a change that is pending, as it was not confirmed.
func (s *Swing) glimpse(p *Pending) {
	if p.Action != event.ServiceChanged || p.Agreeing.Count == 0 {
		return
	}
	g := Glimpse{p.Candidate, p.Agreeing}
	g.Candidate.Evidence, g.Candidate.Fingerprint = nil, ""
	if i := s.find(&p.Candidate); i >= 0 {
		if was := s.Glimpses[i].Seen; !g.Seen.First.Before(was.Last) {
			g.Seen.Count, g.Seen.First = g.Seen.Count+was.Count, was.First
		}
		s.Glimpses = slices.Delete(s.Glimpses, i, i+1)
	}
	s.Glimpses = slices.Insert(s.Glimpses, 0, g)
	s.Glimpses = s.Glimpses[:min(len(s.Glimpses), MaxIdentities)]
}

// resume lets a confirmation go on from an earlier glimpse of the same, if the
// endpoint is unstable.
func (s *Swing) resume(p *Pending) {
	if !s.Unstable || p.Action != event.ServiceChanged {
		return
	}
	if i := s.find(&p.Candidate); i >= 0 {
		p.Agreeing = s.Glimpses[i].Seen
		s.Glimpses = slices.Delete(s.Glimpses, i, i+1)
	}
}

func (s *Swing) find(o *probes.Observation) int {
	return slices.IndexFunc(s.Glimpses, func(g Glimpse) bool { return alike(&g.Candidate, o) })
}

// forget drops the glimpses of what is known now.
func (s *Swing) forget(o *probes.Observation) {
	s.Glimpses = slices.DeleteFunc(s.Glimpses, func(g Glimpse) bool { return alike(&g.Candidate, o) })
}

// alike tells whether both are the same identity with the same attributes, as
// far as both say.
func alike(a, b *probes.Observation) bool {
	rel := compare(a, b)
	return (rel == same || rel == learned) && len(attributeConflicts(a, b)) == 0
}

// settle tells that the endpoint has become unstable, or stable again.
func (d *decision) settle() {
	s, r := &d.Swing, d.rules
	switch n := s.alternations(r.UnstableOf); {
	case !s.Unstable && n >= atLeastOne(r.UnstableSwings):
		s.Unstable, s.Row = true, 1
		before := d.Current
		before.Evidence, before.Fingerprint = nil, ""
		s.Before = &before
		ev := d.event(event.ServiceUnstable, event.CauseTarget)
		ev.Counts = map[string]int{"alternations": n, "observations": r.UnstableOf}
		d.tell(ev)
	case s.Unstable && s.Row >= atLeastOne(r.StableAfter):
		ev := d.event(event.ServiceStable, event.CauseTarget)
		if changed := difference(s.Before, &d.Current); len(changed) > 0 {
			ev.Changed, ev.ChangeKind = changed, kindOf(changed)
			ev.Previous, _ = told(s.Before)
		}
		ev.Confirmations = s.Row
		d.Swing = Swing{}
		d.tell(ev)
	}
}

// swingState is the stored form of a Swing, with what an observation's own
// JSON form leaves out.
type swingState struct {
	Recent   uint32         `json:"recent,omitempty"`
	Row      int            `json:"row,omitempty"`
	Unstable bool           `json:"unstable,omitempty"`
	Before   *glimpseState  `json:"before,omitempty"`
	Glimpses []glimpseState `json:"glimpses,omitempty"`
}

type glimpseState struct {
	Candidate probes.Observation `json:"candidate"`
	Seen      *Streak            `json:"seen,omitempty"`
	Database  string             `json:"database,omitempty"`
}

// encodeSwing leaves out what says nothing, as of most endpoints.
func encodeSwing(s *Swing) *swingState {
	if s.Recent == 0 && !s.Unstable && len(s.Glimpses) == 0 {
		return nil
	}
	out := &swingState{Recent: s.Recent, Row: s.Row, Unstable: s.Unstable}
	if s.Before != nil {
		out.Before = &glimpseState{Candidate: *s.Before, Database: s.Before.Database}
	}
	for _, g := range s.Glimpses {
		out.Glimpses = append(out.Glimpses, glimpseState{g.Candidate, streakOrNil(g.Seen), g.Candidate.Database})
	}
	return out
}

func (s *swingState) decode() (out Swing) {
	if s == nil {
		return out
	}
	out = Swing{Recent: s.Recent, Row: s.Row, Unstable: s.Unstable}
	if s.Before != nil {
		before := s.Before.Candidate
		before.Database = s.Before.Database
		out.Before = &before
	}
	for _, g := range s.Glimpses {
		g.Candidate.Database = g.Database
		out.Glimpses = append(out.Glimpses, Glimpse{g.Candidate, streakOf(g.Seen)})
	}
	return out
}
