package session

import (
	"fmt"
	"time"

	"sonde/probes"
)

// A Machine is one visit to one endpoint. [Machine.Start] and
// [Machine.Handle] give what is to be done now; the last thing is Finish.
type Machine struct {
	visit

	lines   []*line // being opened, or open; oldest first
	numbers int     // connections so far
	ladder  ladder
	udp     datagrams

	actions []Action
	poke    time.Time // when the ladder is to be looked at again; zero: no need
	wake    time.Time // of the Wake that is under way; zero: none
	limit   time.Time // of the whole visit
	stopped string    // why it was ended from outside

	inFull bool    // a TLS ticket was of no good: no more of them
	extras *extras // once the identity is settled
	over   bool
}

// Start begins the visit. The actions are valid until the next call.
func (m *Machine) Start(now time.Time) []Action {
	m.started, m.lastAt, m.now = now, now, now
	m.limit = now.Add(m.p.settings.WallLimit)
	switch reason := m.held(); {
	case reason != "":
		m.outcome, m.reason = probes.OutcomeHeld, reason
		m.finish()
	case m.ep.Transport == probes.UDP:
		m.visitUDP()
	default:
		m.visitTCP()
	}
	return m.turn()
}

// Handle goes on after an event. What is told of a connection that was closed
// already, or comes after Finish, is ignored. The actions are valid until the
// next call.
func (m *Machine) Handle(now time.Time, e Event) []Action {
	m.actions = m.actions[:0]
	if m.over {
		return nil
	}
	m.pass(now)
	switch e.Kind {
	case Woken:
		m.wake = time.Time{}
	case Cancelled:
		m.interrupt("cancelled")
	default:
		if l := m.lineOf(e.Conn); l != nil {
			m.told(l, e)
		}
	}
	return m.turn()
}

// Done reports whether the visit is over.
func (m *Machine) Done() bool { return m.over }

// pass lets the time pass until now. It is waiting, if somebody waits: twice
// as many connections do not wait twice as long.
func (m *Machine) pass(now time.Time) {
	if !now.After(m.now) {
		return
	}
	for _, l := range m.lines {
		if l.phase == listening || l.phase == shaking {
			m.budget.waited += now.Sub(m.now)
			break
		}
	}
	m.now = now
}

// turn goes on with each wait that is over, until none is, and says what is to
// be done.
func (m *Machine) turn() []Action {
	for !m.over {
		if l := m.due(); l != nil {
			then := l.then
			l.then, l.ready = nil, false
			then()
		} else if !m.ladder.climbing || !m.advance() {
			break
		}
	}
	if !m.over && !m.now.Before(m.limit) {
		m.interrupt(fmt.Sprintf("wall clock limit of %v", m.p.settings.WallLimit))
	}
	if m.over {
		m.act(Action{Kind: Finish})
	} else if at := m.wakeAt(); !at.Equal(m.wake) {
		m.wake = at
		m.act(Action{Kind: Wake, At: at})
	}
	return m.actions
}

// due is the oldest connection whose wait is over, or nil.
func (m *Machine) due() *line {
	for _, l := range m.lines {
		if l.then != nil && (l.ready || l.phase == listening && m.heardOut(l) || m.shakenOut(l)) {
			return l
		}
	}
	return nil
}

// wakeAt is when time alone makes a difference.
func (m *Machine) wakeAt() time.Time {
	at := m.limit
	if !m.poke.IsZero() {
		at = earlier(at, m.poke)
	}
	for _, l := range m.lines {
		switch {
		case l.phase == listening:
			at = earlier(at, l.answer.wake(l.patience, l.until))
		case l.phase == shaking && !l.until.IsZero():
			at = earlier(at, l.until)
		}
	}
	return at
}

func (m *Machine) act(a Action) { m.actions = append(m.actions, a) }

// finish settles the identity. The visit goes on with what else is to be
// asked, if it was not ended from outside.
func (m *Machine) finish() {
	m.ladder, m.poke = ladder{}, time.Time{}
	if pr := m.completing(); pr != nil {
		m.complete(pr)
		return
	}
	m.closeAll()
	m.lingered = m.lingered || m.unheard && m.budget.probes == 0
	if m.entered {
		m.leaveTunnel()
	}
	if m.outside {
		m.leaveOutside()
	}
	if m.best.strength != probes.Hard || m.best.end == cutShort {
		m.interrupted = m.stopped
	}
	m.settle()
}

// interrupt ends the visit from outside. What came so far is kept for a
// reader. It makes no identity.
func (m *Machine) interrupt(why string) {
	m.stopped = why
	if m.extras != nil {
		m.stopExtras(why)
		return
	}
	for _, ln := range m.ladder.lanes {
		if ln.state == laneEnded && ln.line.answer.heard() {
			f := ln.found
			f.end = cutShort // its turn has not come
			m.keep(f)
			m.heard = true
		}
	}
	for _, l := range m.lines {
		if l.phase != listening {
			continue
		}
		if l.answer.expire(m.now); l.rejoins {
			l.answer.rejoin(cutShort)
		}
		if l.answer.heard() {
			m.glimpse(l)
		}
	}
	m.finish()
}
