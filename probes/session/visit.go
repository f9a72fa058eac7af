package session

import (
	"fmt"
	"slices"
	"time"

	"sonde/match"
	"sonde/probes"
)

// A visit is what is known of an endpoint so far, and what that has cost.
type visit struct {
	p       *Prober
	ep      probes.Endpoint
	known   Remembered
	budget  budget
	scratch *match.Scratch
	started time.Time
	now     time.Time
	lastAt  time.Time // when the last packet that counts was seen

	tunnel   probes.Tunnel
	tls      []probes.TLSFacts
	offering *offering // nil before TLS was tried

	best    finding
	asked   []*probes.Probe // in this tunnel, or in clear
	prompt  time.Duration   // the longest that a probe had to wait for its answer; 0: none had one
	names   []string        // of the probes sent so far, each once
	answers []probes.Answer // of the probes that no line explained

	goodbyes int // connections left with one

	industrial bool // only probes made for such ports are sent

	accepted  bool // a TCP connect succeeded
	heard     bool // at least one byte came
	lingered  bool // a connection stayed open without a byte until its time was up
	unheard   bool // no greeting came, which probes then may have cut short
	undecided bool // a rule reached a limit on the way
	cut       bool // an answer was cut off on the way
	greeted   bool // the endpoint is known by the greeting that comes next
	notTLS    bool // a tunnel was tried and the peer speaks something else
	shut      bool // TLS is spoken, but we are not let in

	answersHello bool // notTLS, and it said something: the hello is what to ask
	shaken       bool // a handshake was completed
	stalled      bool // the last handshake had no end in time
	elsewhere    bool // an answer came from another port
	completes    bool // the identity is settled, and completed by another probe

	leads   bool     // the last hard match names a tunnel to enter
	entered bool     // such a tunnel was entered
	behind  *finding // what was said outside of the service inside, if anything
	outside bool     // a known tunnel is shut: asked in clear

	outcome     probes.Outcome // set when the visit ends for a reason of its own
	state       probes.State
	reason      string
	interrupted string // why the visit ended before its time
	errors      []string
}

func newVisit(p *Prober, ep probes.Endpoint, known Remembered) *visit {
	return &visit{
		p: p, ep: ep, known: known,
		budget:     budget{max: &p.settings},
		industrial: isIndustrial(p.db, ep),
	}
}

// sent counts a probe that is about to be sent.
func (v *visit) sent(pr *probes.Probe) {
	v.budget.probes++
	if !slices.Contains(v.names, pr.Name) {
		v.names = append(v.names, pr.Name)
	}
}

// seen notes when the peer was last heard of.
func (v *visit) seen(at time.Time) { v.lastAt = at }

// note keeps what went wrong beside the result.
func (v *visit) note(format string, args ...any) {
	if len(v.errors) < maxErrors {
		v.errors = append(v.errors, fmt.Sprintf(format, args...))
	}
}

// fail ends the visit by a connect that failed. What is known stays (part 2,
// row 3): the error then only stands beside it.
func (v *visit) fail(e *connectError) {
	if v.heard || v.accepted {
		v.note("%v", e)
		v.giveUp(e.reason)
		return
	}
	switch {
	case v.known.Probe == "":
	case e.reason == "reset":
		e.outcome, e.state = probes.OutcomeBlocked, probes.Open
		e.reason = "reset without an answer, and answered before"
	case e.filtered:
		e.outcome = probes.OutcomeBlocked
		e.reason += " by a packet filter, and answered before"
	}
	v.outcome, v.state, v.reason = e.outcome, e.state, e.reason
	if e.outcome == probes.OutcomeInconclusive {
		v.note("%v", e)
	}
}

// giveUp ends the visit in the middle. If no answer came in this tunnel, or in
// clear, nothing is known.
func (v *visit) giveUp(reason string) {
	if v.best.strength == "" && v.outcome == "" {
		v.outcome, v.reason = probes.OutcomeInconclusive, reason
	}
}

// forget starts over: what was found counts for nothing, what it cost does.
func (v *visit) forget() {
	v.best = finding{}
	v.undecided, v.cut = false, false
	v.asked, v.answers = nil, nil
}

// remembered is the probe that identified the endpoint before, if there is
// one and it may be sent.
func (v *visit) remembered() *probes.Probe {
	pr := v.p.db.Lookup(v.ep.Transport, v.known.Probe)
	switch {
	case pr == nil, !pr.Needs.Within(v.p.settings.Allow.Needs()):
		return nil
	case v.industrial && pr.Needs&probes.NeedIndustrial == 0:
		return nil
	}
	return pr
}

// sameSoft reports whether a soft match says what one said before.
func (v *visit) sameSoft() bool {
	return v.best.strength == probes.Soft && v.best.id.Service == v.known.Soft
}

// patience is how long a probe waits for its answer to begin: as long as the
// database says, or as the reference does if it says nothing. At a peer that
// has answered another probe of this visit, silence says more than at one of
// which nothing is known: there it waits promptWait, or four times as long as
// the slowest answer took.
func (v *visit) patience(pr *probes.Probe) time.Duration {
	if v.prompt == 0 || pr.TotalWait > probes.DefaultTotalWait {
		return pr.TotalWait
	}
	return min(pr.TotalWait, max(promptWait, 4*v.prompt))
}

// newAnswer is an answer that has not begun.
func (v *visit) newAnswer(ends endFunc) answer {
	return answer{limit: v.p.settings.MaxAnswer, settle: v.p.settings.Settle, ends: ends}
}

// until is the end of a wait that begins now, as far as the waiting budget
// reaches.
func (v *visit) until(wait time.Duration) time.Time {
	return v.now.Add(min(wait, v.budget.patience()))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
