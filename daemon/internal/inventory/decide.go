package inventory

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// Decide says what an endpoint is after a visit, and what of that is to be
// told. old is nil for an endpoint that is not known; it is not modified. The
// result's Status is Unknown when there is nothing to keep, and its Next says
// when to ask again. The events lack what the store adds: sequence number,
// id, sensor and time of the decision.
//
// Decide reads no clock and no store: what it needs of them is in the visit.
func Decide(old *Endpoint, v Visit, r Rules) (Endpoint, []event.Event) {
	v.Observation = clean(v.Observation, v.Key)
	d := decision{rules: r, visit: v, seen: &v.Observation, says: v.Observation.Outcome}
	if old == nil {
		d.Endpoint = Endpoint{Key: v.Key}
	} else {
		d.Endpoint = old.clone()
	}
	d.Watch = v.Watch
	d.LastVisited = v.At
	d.Next = Next{}
	d.decide()
	if d.Status == Unknown {
		return Endpoint{}, nil
	}
	return d.Endpoint, d.events
}

// clone copies all that a decision may write to. The observations share
// slices with the original; they are replaced, never written to.
func (e *Endpoint) clone() Endpoint {
	c := *e
	c.Others = slices.Clone(e.Others)
	c.Known = maps.Clone(e.Known)
	c.Asked = slices.Clone(e.Asked)
	c.Certificates = slices.Clone(e.Certificates)
	c.Swing.Glimpses = slices.Clone(e.Swing.Glimpses)
	if e.Pending != nil {
		p := *e.Pending
		c.Pending = &p
	}
	return c
}

// decision is one call of Decide.
type decision struct {
	Endpoint
	rules  Rules
	visit  Visit
	seen   *probes.Observation
	says   probes.Outcome // of the visit, in the light of what is known
	events []event.Event
}

// proof is what a visit says about the presence of the endpoint.
type proof int

const (
	noProof proof = iota // unreachable, blocked, held, a limit: nothing either way
	there
	refused
	silent
)

func proofOf(o *probes.Observation) proof {
	switch {
	case o.State == probes.Open, o.Outcome == probes.OutcomeAnswered,
		o.Outcome == probes.OutcomeTCPWrapped:
		return there
	case o.Outcome == probes.OutcomeRefused:
		return refused
	case o.Outcome == probes.OutcomeSilent:
		return silent
	default:
		return noProof
	}
}

// decide applies the visit to the endpoint.
func (d *decision) decide() {
	proof := proofOf(d.seen)
	switch {
	case d.Retired && proof != there:
		return
	case d.Retired:
		d.revive()
	case proof == there:
		d.isThere()
	default:
		d.isNotThere(proof)
	}
	if d.Status == Present && proof == there {
		d.judgeCertificates()
	}
}

// isNotThere handles a visit that found nothing, for whatever reason.
func (d *decision) isNotThere(p proof) {
	switch p {
	case refused:
		d.Closed.add(d.visit.At)
		d.isMissed()
	case silent:
		if !d.Silent.First.After(d.visit.HostOut) {
			d.Silent = Streak{} // the whole host was silent meanwhile
		}
		d.Silent.add(d.visit.At)
		d.isMissed()
	default:
		d.unsure()
	}
}

// isThere handles an endpoint that accepted or answered.
func (d *decision) isThere() {
	d.LastSeen = d.visit.At
	d.Closed, d.Silent = Streak{}, Streak{}
	switch d.Status {
	case Present, Away, Gone:
		if d.rules.Dynamic && d.MAC != "" && d.visit.MAC != "" && d.MAC != d.visit.MAC {
			d.revive()
			return
		}
	}
	switch d.Status {
	case Unknown:
		d.FirstSeen = d.visit.At
		if d.visit.AbsentAt.IsZero() {
			d.baseline()
			return
		}
		d.AbsentAt = d.visit.AbsentAt
		d.Status = Candidate
		d.appears(event.ServiceNew)
	case Candidate:
		if d.AbsentAt.IsZero() {
			d.baseline() // which was held
			return
		}
		d.appears(event.ServiceNew)
	case Gone:
		d.appears(event.ServiceReturned)
	case Away:
		d.Status = Present // its host was told to be back
		d.isKnown()
	default:
		d.isKnown()
	}
}

// baseline takes the first look at an endpoint as given, unless it says nothing
// and may be one of many that do: these are not known, so that nothing is told
// when they go.
func (d *decision) baseline() {
	p := d.candidate()
	cause := cmp.Or(p.Cause, d.visit.Cause, event.CauseConfig)
	d.consider(event.ServiceBaseline, cause, corroborates(&p.Candidate, d.seen))
	if d.visit.Held && rank(p.Candidate.Strength) == 0 {
		d.Status = Candidate
		d.hurry()
		return
	}
	d.Status = Present
	d.believe(p.Candidate)
	ev := d.event(event.ServiceBaseline, cause)
	ev.Confirmations = p.Agreeing.Count
	d.tell(ev)
}

// revive begins anew with an endpoint whose watch had been removed: what
// happened meanwhile is not known, so nothing of it is news, unless a pass
// found nothing there since the watch is back. So it is with an address that
// another machine was given.
func (d *decision) revive() {
	first := d.FirstSeen
	retired := d.Retired
	d.Endpoint = Endpoint{Key: d.Key, Watch: d.Watch, LastVisited: d.LastVisited}
	if retired && !d.visit.AbsentAt.IsZero() {
		d.isThere()
		return
	}
	d.LastSeen, d.FirstSeen = d.visit.At, first
	d.baseline()
}

// isMissed handles an endpoint that refused or kept silent.
func (d *decision) isMissed() {
	switch d.Status {
	case Candidate:
		if d.Closed.Count+d.Silent.Count >= atLeastOne(d.rules.ClosedVisits) {
			d.Endpoint = Endpoint{}
			return
		}
		d.missed()
	case Gone:
		if d.Closed.Count+d.Silent.Count >= atLeastOne(d.rules.ClosedVisits) {
			d.Pending = nil
		}
		d.missed()
	case Present, Away:
		if reason := d.absence(); reason != "" {
			d.gone(reason)
			return
		}
		d.unsure()
		d.confirmGone()
	}
}

// Reasons of service.gone.
const (
	ReasonClosed   = "closed"
	ReasonFiltered = "filtered"
)

// absence tells why the endpoint may be believed to be gone, "" if not yet. A
// refusal is itself the host's sign of life. Silence proves nothing of UDP.
func (d *decision) absence() string {
	r := d.rules
	switch {
	case d.visit.Held:
		return ""
	case d.Closed.holds(r.ClosedVisits, r.ClosedAfter) && d.Closed.Last.Equal(d.visit.At):
		return ReasonClosed
	case d.Key.Transport == probes.TCP && d.hostAlive() &&
		d.Silent.holds(r.FilteredVisits, r.GoneAfter) && d.Silent.Last.Equal(d.visit.At):
		return ReasonFiltered
	default:
		return ""
	}
}

func (d *decision) hostAlive() bool {
	return !d.visit.HostAlive.Before(d.visit.At.Add(-d.rules.GoneAfter))
}

func (d *decision) gone(reason string) {
	streak := d.Closed
	if reason == ReasonFiltered {
		streak = d.Silent
	}
	d.Status = Gone
	d.Pending = nil
	d.Unsure = Streak{}
	d.Unverified = false
	d.Current.State, d.Current.Outcome = d.seen.State, d.seen.Outcome
	d.Current.Reason = d.seen.Reason
	d.Swing = Swing{}
	ev := d.event(event.ServiceGone, d.blame())
	ev.Reason = reason
	ev.Confirmations = streak.Count
	d.tell(ev)
}

// confirmGone asks for the next visit of a row of misses.
func (d *decision) confirmGone() {
	r := d.rules
	var at time.Time
	switch {
	case d.Closed.Count > 0 && d.Closed.Last.Equal(d.visit.At):
		at = d.Closed.due(r.ClosedVisits, r.ClosedAfter, d.visit.At)
	case d.Key.Transport == probes.TCP && d.hostAlive() &&
		d.Silent.Count < triesEach*atLeastOne(r.FilteredVisits):
		at = d.Silent.due(r.FilteredVisits, r.GoneAfter, d.visit.At)
	default:
		return
	}
	d.Next = Next{At: at, Why: ConfirmGone}
}

// event begins an event about the endpoint as it is believed to be now.
func (d *decision) event(a event.Action, c event.Cause) event.Event {
	ev := event.Event{
		Action:        a,
		Cause:         c,
		CorrelationID: d.Key.CorrelationID(),
		ObservedAt:    d.visit.At.UTC(),
		Watch:         d.Watch,
		Zone:          d.Key.Zone,
		VLAN:          d.visit.VLAN,
		FirstSeen:     d.FirstSeen.UTC(),
		LastSeen:      d.LastSeen.UTC(),
	}
	ev.Endpoint, ev.Evidence = told(&d.Current)
	return ev
}

// tell gives the event its severity and its line for people.
func (d *decision) tell(ev event.Event) {
	ev.Severity = event.SeverityOf(ev.Action, ev.ChangeKind)
	ev.Message = message(&ev)
	d.events = append(d.events, ev)
}

// told splits an observation into what an event says of an endpoint, and the
// evidence for it. A fingerprint is kept, and not told: it holds answers whole,
// secrets included, and says nothing of what changed.
func told(o *probes.Observation) (*probes.Observation, *probes.Evidence) {
	c := *o
	c.Evidence, c.Cost, c.Fingerprint = nil, probes.Cost{}, ""
	return &c, eventEvidence(o.Evidence)
}
