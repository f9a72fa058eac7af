package inventory

import (
	"bytes"
	"slices"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// isKnown handles an endpoint that is told already and is still there: is it
// what it was?
func (d *decision) isKnown() {
	d.Current.State, d.Current.Reason = probes.Open, d.seen.Reason
	d.says = d.judge()
	if d.says != probes.OutcomeAnswered && d.says != probes.OutcomeTCPWrapped {
		d.unsure()
		return
	}
	rel, base := d.recognise()
	if rel == weaker && d.strangeCertificate() {
		// The handshake still tells: judge the certificate alone.
		o := *base
		o.TLS, o.Evidence = d.seen.TLS, nil
		d.seen, rel = &o, same
	}
	switch rel {
	case same:
		d.agrees(base)
	case learned:
		if otherDatabase(base, d.seen) {
			d.reclassify(base)
			return
		}
		d.confirm(event.ServiceReclassified, event.CauseSelf, base)
	case weaker:
		d.weakens(base)
	default:
		d.contradicts(base)
	}
}

// judge gives the outcome of the visit in the light of what is known. A bare
// close where a service is known is the peer refusing us; what is no more than
// the beginning of the answer known before was cut short.
func (d *decision) judge() probes.Outcome {
	was, is := d.Current.Evidence, d.seen.Evidence
	switch d.seen.Outcome {
	case probes.OutcomeAnswered:
		if was != nil && is != nil && was.Probe == is.Probe && beginsProperly(was.Answer, is.Answer) &&
			compare(&d.Current, d.seen) != same {
			return probes.OutcomeInconclusive
		}
	case probes.OutcomeTCPWrapped:
		if rank(d.Current.Strength) > 0 {
			return probes.OutcomeBlocked
		}
	}
	return d.seen.Outcome
}

// beginsProperly tells whether part is a proper beginning of whole.
func beginsProperly(whole, part []byte) bool {
	return len(part) > 0 && len(part) < len(whole) && bytes.HasPrefix(whole, part)
}

// recognise finds the identity of the endpoint that the visit is closest to.
func (d *decision) recognise() (relation, *probes.Observation) {
	best, base := compare(&d.Current, d.seen), d.Current
	for i := range d.Others {
		if rel := compare(&d.Others[i], d.seen); rel < best {
			best, base = rel, d.Others[i]
		}
	}
	return best, &base
}

func (d *decision) strangeCertificate() bool {
	return slices.ContainsFunc(d.strange(d.seen), func(a attribute) bool {
		return a.field == fieldCert
	})
}

// agrees handles a visit that found an identity of the set.
func (d *decision) agrees(base *probes.Observation) {
	if d.showsOther(base) {
		d.confirm(event.ServiceChanged, d.blame(), base)
		return
	}
	if d.mute(base) {
		p := *d.Pending
		d.believe(*d.seen)
		d.Pending = &p
		d.missed()
		return
	}
	again := compare(&d.Current, d.seen) <= learned
	swung := d.Pending != nil && d.Pending.Action == event.ServiceChanged
	if d.Pending != nil {
		d.Swing.glimpse(d.Pending)
	}
	d.believe(*d.seen)
	d.Swing.observe(again && !swung, swung)
	d.settle()
}

// showsOther tells whether the visit shows an attribute as it never was. What
// another probe draws may have other words for the same; a certificate has none,
// and a host key neither.
func (d *decision) showsOther(base *probes.Observation) bool {
	compared := base.Probe == d.seen.Probe
	return slices.ContainsFunc(d.strange(d.seen), func(a attribute) bool {
		return compared || a.field == fieldCert || a.field == fieldHostKey
	})
}

// mute tells whether what is being confirmed is beside the identity, and this
// visit says nothing of it, neither for nor against: host keys and certificates
// behind STARTTLS are not asked for each time, and not always shown.
func (d *decision) mute(base *probes.Observation) bool {
	p := d.Pending
	if p == nil || p.Action != event.ServiceChanged || compare(base, &p.Candidate) > learned {
		return false
	}
	shows := attributes(d.seen)
	pending := d.strange(&p.Candidate)
	return len(pending) > 0 && !slices.ContainsFunc(pending, func(a attribute) bool {
		extra := a.field == fieldHostKey || a.field == fieldCert && p.Candidate.Tunnel == probes.NoTunnel
		return !extra || slices.ContainsFunc(shows, func(b attribute) bool { return a.key == b.key })
	})
}

// weakens handles a visit that says less than what is known.
func (d *decision) weakens(base *probes.Observation) {
	if p := d.Pending; p != nil && p.Action != event.ServiceUnverified || d.Unverified {
		d.unsure()
		return
	}
	cause := d.blame()
	if otherDatabase(base, d.seen) {
		cause = event.CauseDatabase
	}
	d.confirm(event.ServiceUnverified, cause, base)
}

// contradicts handles a visit that found something else than ever before.
func (d *decision) contradicts(base *probes.Observation) {
	if old := d.outdated(); old != nil {
		d.reclassify(old)
		return
	}
	switch {
	case otherHost(base, d.seen):
		d.confirm(event.ServiceReclassified, event.CauseConfig, base)
		return
	case comparable(base, d.seen, d.Asked):
		d.confirm(event.ServiceChanged, d.blame(), base)
		return
	}
	d.confirm(event.ServiceReclassified, event.CauseEngine, base)
}

// outdated finds an identity that another database gave: what the same probe
// says by today's database need not look like it.
func (d *decision) outdated() *probes.Observation {
	for _, o := range append([]probes.Observation{d.Current}, d.Others...) {
		if otherDatabase(&o, d.seen) {
			return &o
		}
	}
	return nil
}

func otherDatabase(a, b *probes.Observation) bool {
	return a.Database != "" && b.Database != "" && a.Database != b.Database
}

// reclassify replaces an identity of another database at once: our files
// changed, not the target, so there is nothing to wait for.
func (d *decision) reclassify(old *probes.Observation) {
	was := *old
	d.forget(&was)
	d.believe(*d.seen)
	d.tellChange(event.ServiceReclassified, event.CauseDatabase, &was, 1)
}

// tellChange tells that was has become Current.
func (d *decision) tellChange(a event.Action, c event.Cause, was *probes.Observation, n int) {
	ev := d.event(a, c)
	ev.Previous, _ = told(was)
	if rank(was.Strength) > 0 {
		ev.Changed = difference(was, &d.Current)
		ev.ChangeKind = kindOf(ev.Changed)
	}
	ev.Confirmations = n
	d.tell(ev)
}

// unsure handles a visit that could not confirm the identity.
func (d *decision) unsure() {
	if d.says == probes.OutcomeAnswered {
		d.ask() // else nothing came, whatever was asked
	}
	d.missed()
	if d.Status == Present {
		d.age()
	}
}

// age counts a visit that did not confirm the identity. When none could for
// long enough, that is told, once.
func (d *decision) age() {
	d.Unsure.add(d.visit.At)
	if d.visit.Held || d.Unverified || rank(d.Current.Strength) == 0 ||
		!d.Unsure.holds(2, d.rules.UnverifiedAfter) {
		return
	}
	d.Unverified = true
	cause := causeOf(d.says)
	if cause == event.CauseTarget {
		cause = d.blame()
	}
	ev := d.event(event.ServiceUnverified, cause)
	ev.Reason = string(d.says)
	ev.Confirmations = d.Unsure.Count
	d.tell(ev)
}

// ask remembers the probes of this visit. Those of visits that are still to
// be confirmed are left out, or else the second of them would find that its
// probe was asked before.
func (d *decision) ask() {
	names := d.seen.Asked
	if p := d.seen.Probe; p != "" && !slices.Contains(names, p) {
		names = append(slices.Clip(names), p)
	}
	for _, name := range names {
		at, known := slices.BinarySearch(d.Asked, name)
		if !known && len(d.Asked) < maxAsked {
			d.Asked = slices.Insert(d.Asked, at, name)
		}
	}
}

// blame tells what a difference is to be put down to: the target, unless the
// way to it is another one than when its identity was last confirmed.
func (d *decision) blame() event.Cause {
	if d.Way != "" && d.visit.Way != "" && d.Way != d.visit.Way {
		return event.CausePath
	}
	return event.CauseTarget
}

// causeOf tells whom an outcome without a result is to be blamed on.
func causeOf(o probes.Outcome) event.Cause {
	switch o {
	case probes.OutcomeBlocked, probes.OutcomeHeld, probes.OutcomeUndecided,
		probes.OutcomeInconclusive:
		return event.CauseSelf
	case probes.OutcomeUnreachable:
		return event.CausePath
	default:
		return event.CauseTarget
	}
}
