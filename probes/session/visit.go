package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// A visit is the state of one conversation with an endpoint.
type visit struct {
	p       *Prober
	ep      probes.Endpoint
	known   Remembered
	budget  budget
	scratch *match.Scratch
	started time.Time
	lastAt  time.Time // when the last packet that counts was seen

	tunnel probes.Tunnel
	tls    []probes.TLSFacts
	hellos []tlsprobe.Config // ways to offer TLS that are still open, best first

	null  *line // the NULL connection while it is open and silent beside a probe
	best  finding
	asked map[*probes.Probe]bool // in this tunnel, or in clear
	names []string               // of the probes sent so far, each once

	industrial bool // only probes made for such ports are sent

	accepted  bool // a TCP connect succeeded
	heard     bool // at least one byte came
	lingered  bool // a connection stayed open without a byte until its time was up
	undecided bool // a rule reached a limit on the way
	cut       bool // an answer was cut off on the way
	greeted   bool // the endpoint is known by the greeting that comes next
	notTLS    bool // a tunnel was tried and the peer speaks something else
	shut      bool // TLS is spoken, but we are not let in
	shaken    bool // a handshake was completed
	stalled   bool // the last handshake had no end in time

	outcome     probes.Outcome // set when the visit ends for a reason of its own
	state       probes.State
	reason      string
	interrupted string // why the visit ended before its time
	errors      []string
}

// sent counts a probe that is about to be sent.
func (v *visit) sent(pr *probes.Probe) {
	v.budget.probes++
	if !slices.Contains(v.names, pr.Name) {
		v.names = append(v.names, pr.Name)
	}
}

func newVisit(p *Prober, ep probes.Endpoint, known Remembered) *visit {
	now := time.Now()
	v := &visit{
		p: p, ep: ep, known: known,
		budget:  budget{max: p.settings},
		scratch: match.NewScratch(),
		started: now, lastAt: now,
		asked: make(map[*probes.Probe]bool),
	}
	v.hellos = hellos(ep.Names)
	v.industrial = isIndustrial(p.db, ep)
	return v
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

// interruption says why the visit could not run to its end, or is "".
func (v *visit) interruption(parent, wall context.Context) string {
	switch {
	case v.best.strength == probes.Hard && v.best.end != cutShort:
		return ""
	case parent.Err() != nil:
		return "cancelled"
	case wall.Err() != nil:
		return fmt.Sprintf("wall clock limit of %v", v.budget.max.WallLimit)
	}
	return ""
}

// settings of an answer.
func (v *visit) newAnswer(ends endFunc) answer {
	return answer{limit: v.budget.max.MaxAnswer, settle: v.budget.max.Settle, ends: ends}
}

// until is the end of a wait that begins at start, as far as the waiting
// budget reaches.
func (v *visit) until(start time.Time, wait time.Duration) time.Time {
	return earlier(start.Add(wait), time.Now().Add(v.budget.patience()))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
