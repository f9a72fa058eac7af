package session

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// extras is what is asked once the identity is settled: one thing after the
// other, each over a connection of its own. It costs the identity nothing: it
// has its own bytes and its own times, and if it fails it is only noted.
type extras struct {
	observation probes.Observation // the identity, and what was added to it
	todo        []func()
	began       time.Time
	doubts      bool           // that the identity is the one known before
	outcome     probes.Outcome // without them
	reason      string
}

// settle keeps the identity as it is now, and begins the extras. Those of a
// visit that was ended from outside are left out.
func (m *Machine) settle() {
	x := &extras{observation: m.observe(m.now), began: m.now}
	x.observation.Errors = slices.Clip(x.observation.Errors)
	m.extras = x
	m.budget = budget{max: &m.p.settings}
	x.todo = m.dueExtras()
	if m.stopped != "" {
		x.todo = nil
	}
	m.nextExtra()
}

// doubt says that this visit cannot tell the identity from another until
// something was asked that is part of it, which trust takes back. A visit that
// ends before is no proof that the endpoint has changed.
func (m *Machine) doubt(reason string) {
	x := m.extras
	x.doubts, x.outcome, x.reason = true, x.observation.Outcome, x.observation.Reason
	x.observation.Outcome, x.observation.Reason = probes.OutcomeInconclusive, reason
}

func (m *Machine) trust() {
	if x := m.extras; x.doubts {
		x.observation.Outcome, x.observation.Reason = x.outcome, x.reason
	}
}

// dueExtras lists what is to be asked. Only what is known to answer is asked
// more, and an industrial port nothing more.
func (m *Machine) dueExtras() (todo []func()) {
	o := &m.extras.observation
	known := o.Strength == probes.Hard || o.Strength == probes.Soft
	if !known || o.Outcome != probes.OutcomeAnswered || m.industrial {
		return nil
	}
	due := m.known.Extras || m.known.Probe == "" || m.known.Service != o.Service
	if o.Tunnel != probes.NoTunnel {
		if due {
			return m.dueNames()
		}
		return nil
	}
	if due && m.mayStartTLS() {
		todo = append(todo, m.startTLS)
	}
	if due && m.mayReadKey() {
		todo = append(todo, m.readKey)
	}
	return append(todo, m.dueRPC(due)...)
}

// nextExtra begins the next one. Without one the visit is over.
func (m *Machine) nextExtra() {
	x := m.extras
	m.closeAll()
	if len(x.todo) == 0 || m.budget.room() == 0 {
		m.over = true
		m.countExtras()
		return
	}
	next := x.todo[0]
	x.todo = x.todo[1:]
	next()
}

// stopExtras ends them from outside, without a word about the identity.
func (m *Machine) stopExtras(why string) {
	m.regret("not asked to the end: %s", why)
	m.extras.todo = nil
	m.nextExtra()
}

func (m *Machine) countExtras() {
	if m.budget.connections == 0 {
		return
	}
	m.extras.observation.Cost.Extra = &probes.Cost{
		Connections: m.budget.connections,
		Probes:      m.budget.probes,
		BytesOut:    m.budget.out,
		BytesIn:     m.budget.in,
		Millis:      m.now.Sub(m.extras.began).Milliseconds(),
	}
}

// regret notes why one of them has no result.
func (m *Machine) regret(format string, args ...any) {
	o := &m.extras.observation
	if len(o.Errors) < maxErrors {
		o.Errors = append(o.Errors, fmt.Sprintf(format, args...))
	}
}

// say sends b, which is what, if there is something.
func (m *Machine) say(l *line, what string, b []byte) {
	if len(b) == 0 {
		return
	}
	m.budget.probes++
	m.send(l, what, b)
}

// hear waits for bytes until a time, and takes them as they come.
func (m *Machine) hear(l *line, until time.Time, then func()) {
	l.answer = answer{limit: MaxAnswerLimit, ends: datagramEnd}
	m.listen(l, until, until, then)
}

// secure makes l a tunnel. If err is not nil, l is gone.
func (m *Machine) secure(l *line, hello tlsprobe.Config, until time.Time,
	then func(facts probes.TLSFacts, err error)) {
	m.handshake(l, hello, min(m.p.settings.TLSTimeout, max(until.Sub(m.now), glance)), NoTicket)
	l.then = func() {
		l.phase = opening
		if l.gone && l.err == nil {
			l.err = errUnknown
		}
		if !l.gone {
			l.err = nil
		}
		then(l.shown(), l.err)
	}
}

// silence says why nothing was heard on l.
func silence(l *line) string {
	switch {
	case l.open():
		return "no answer in time"
	case l.err == nil || errors.Is(l.err, io.EOF):
		return "closed"
	default:
		return bare(l.err).Error()
	}
}
