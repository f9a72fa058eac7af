package inventory

import (
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// appears confirms that something is there, after the rules for what is new.
func (d *decision) appears(a event.Action) {
	p := d.candidate()
	d.consider(a, d.blame(), corroborates(&p.Candidate, d.seen))
	enough := p.Agreeing.holds(d.rules.span(a)) || p.Restarts >= maxRestarts
	// Many hosts that are missing hold no return, many ports that say nothing do.
	if !enough || d.visit.Held && (a == event.ServiceNew || rank(p.Candidate.Strength) == 0) {
		d.hurry()
		return
	}
	if a == event.ServiceReturned {
		d.returns(p)
		return
	}
	d.Status = Present
	d.believe(p.Candidate)
	ev := d.event(a, p.Cause)
	ev.AbsentAt = d.AbsentAt.UTC()
	ev.Confirmations = p.Agreeing.Count
	d.tell(ev)
}

// returns tells that what was gone is back, and what is different about it.
func (d *decision) returns(p *Pending) {
	d.Status = Present
	was := d.Current
	seen := p.Candidate
	d.seen = &seen
	if rel, _ := d.recognise(); rel == weaker {
		d.Pending = nil
		d.Current.State, d.Current.Reason = seen.State, seen.Reason
		d.Current.Outcome = seen.Outcome
	} else {
		d.believe(seen)
	}
	ev := d.event(event.ServiceReturned, p.Cause)
	if rank(was.Strength) > 0 {
		ev.Changed = difference(&was, &d.Current)
		ev.ChangeKind = kindOf(ev.Changed)
	}
	if len(ev.Changed) > 0 {
		ev.Previous, _ = told(&was)
	}
	ev.Confirmations = p.Agreeing.Count
	d.tell(ev)
}

// confirm counts a visit towards a change from base, and concludes when there
// are enough.
func (d *decision) confirm(a event.Action, c event.Cause, base *probes.Observation) {
	agrees := d.Pending != nil && d.continues(a, base)
	d.consider(a, c, agrees)
	d.Swing.observe(agrees, false)
	p := d.Pending
	if !p.Agreeing.holds(d.rules.span(a)) || d.visit.Held {
		d.hurry()
		d.age()
		return
	}
	if a == event.ServiceUnverified {
		d.weakened(p, base)
		return
	}
	was, shown := *base, d.succession(&p.Candidate)
	d.believe(p.Candidate)
	if a == event.ServiceChanged {
		a = shown.action(difference(&was, &d.Current))
		shown.replace(&was)
	}
	d.tellChange(a, p.Cause, &was, p.Agreeing.Count)
}

// weakened tells that an identity is no longer recognised. It stays what is
// believed, as nothing contradicts it.
func (d *decision) weakened(p *Pending, base *probes.Observation) {
	d.Pending = nil
	d.Unverified = true
	ev := d.event(event.ServiceUnverified, p.Cause)
	ev.Reason = ReasonWeaker
	ev.Endpoint, ev.Evidence = told(d.seen)
	ev.Previous, _ = told(base)
	ev.Confirmations = p.Agreeing.Count
	d.tell(ev)
}

// ReasonWeaker is the reason of a service.unverified whose service answers,
// but no longer shows what it was known by. Otherwise the reason is the
// outcome of the last visit.
const ReasonWeaker = "weaker"

// consider counts the visit towards what is pending if it agrees, and else
// begins anew with what it saw.
func (d *decision) consider(a event.Action, c event.Cause, agrees bool) {
	p := d.candidate()
	if !agrees || p.Action != a {
		if p.Agreeing.Count > 0 {
			p.Restarts++
		}
		d.Swing.glimpse(p)
		p.Action, p.Cause = a, c
		p.Candidate, p.Agreeing = *d.seen, Streak{}
		d.Swing.resume(p)
	}
	p.Candidate = merge(&p.Candidate, d.seen)
	p.Agreeing.add(d.visit.At)
	p.Tries++
}

func (d *decision) candidate() *Pending {
	if d.Pending == nil {
		d.Pending = &Pending{}
	}
	return d.Pending
}

// continues tells whether the visit says what is pending against base.
func (d *decision) continues(a event.Action, base *probes.Observation) bool {
	p := d.Pending
	switch {
	case p.Action != a:
		return false
	case a == event.ServiceUnverified:
		return true
	case !corroborates(&p.Candidate, d.seen):
		return false
	case compare(base, d.seen) == same: // only attributes changed: the same ones?
		return len(attributeConflicts(&p.Candidate, d.seen)) == 0
	default:
		return true
	}
}

// corroborates tells whether both may have seen the same service.
func corroborates(candidate, seen *probes.Observation) bool {
	switch compare(candidate, seen) {
	case same, learned:
		return true
	case weaker:
		return rank(seen.Strength) == 0 || len(conflicts(candidate, seen)) == 0
	default:
		return false
	}
}

// missed handles a visit that says nothing about what is pending.
func (d *decision) missed() {
	if d.Pending != nil {
		d.Pending.Tries++
		d.hurry()
	}
}

// hurry asks for the next visit of a confirmation, for as long as there is
// hope that it comes to an end.
func (d *decision) hurry() {
	p := d.Pending
	visits, over := d.rules.span(p.Action)
	if p.Tries >= triesEach*atLeastOne(visits) {
		return
	}
	why := ConfirmChanged
	if appearance(p.Action) {
		why = ConfirmNew
	}
	d.Next = Next{At: p.Agreeing.due(visits, over, d.visit.At), Why: why}
}

// span gives the numbers by which an action is confirmed.
func (r Rules) span(a event.Action) (visits int, over time.Duration) {
	if appearance(a) {
		return r.NewVisits, r.NewSpacing
	}
	return r.ChangedVisits, r.ChangedOver
}

// appearance says that an action tells of something that is there now.
func appearance(a event.Action) bool {
	return a == event.ServiceNew || a == event.ServiceReturned || a == event.ServiceBaseline
}
