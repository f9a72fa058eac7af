package session

import (
	"slices"
	"time"

	"sonde/match"
	"sonde/probes"
)

// A laneState is how far a lane has come.
type laneState uint8

const (
	laneUnderWay laneState = iota
	laneEnded              // with an answer, or without
	laneFailed             // to connect, and the visit knows why
	laneAway               // turned away, with others of ours inside
)

// A lane is one probe on its way over its own connection, or the greeting that
// is waited for beside the probes.
type lane struct {
	probe *probes.Probe // for a greeting the NULL probe, which may be missing
	line  *line         // nil until it is to be opened
	null  bool          // only listens
	state laneState
	sent  time.Time // when the probe was; zero: not yet
	until time.Time // end of its wait
	done  func()    // what to do when it is not under way any more

	found     finding // in the answer, if there is one
	tunnelled bool    // it is of a service inside TLS
	undecided []*match.Rule
	endedAt   time.Time
}

// silent reports whether nothing has come.
func (ln *lane) silent() bool { return !ln.line.answer.heard() }

// wins reports whether a hard match waits that may supersede what is before it.
// One that only leads into a tunnel may not: a port may speak both ways, and
// the order decides which is told.
func (ln *lane) wins() bool {
	return ln.state == laneEnded && ln.found.strength == probes.Hard &&
		!ln.found.blocked() && !ln.leads()
}

// leads reports whether the match names TLS.
func (ln *lane) leads() bool { return ln.tunnelled || ln.found.id.Service == "ssl" }

// laneOfGreeting is a lane for what l has heard.
func (m *Machine) laneOfGreeting(l *line) *lane {
	return &lane{probe: m.p.db.Null(), line: l, null: true}
}

// run asks a probe: on the connection of the greeting if that is handed in, and
// on one of its own otherwise. At its end it is matched, but not judged.
func (m *Machine) run(ln *lane) {
	m.asked = append(m.asked, ln.probe)
	if ln.line != nil {
		m.begin(ln)
		return
	}
	m.connect(ln, func(l *line, away bool) {
		switch {
		case away:
			m.end(ln, laneAway)
		case l == nil:
			m.end(ln, laneFailed)
		default:
			m.begin(ln)
		}
	})
}

// begin sends the probe, at once or after a greeting's time where the protocol
// punishes early talk. Where the peer has greeted, or has had its time, it is
// sent at once.
func (m *Machine) begin(ln *lane) {
	l := ln.line
	fresh := !l.said && !l.answer.heard() && l.opened.Equal(m.now)
	if !fresh || !ln.probe.WaitNull {
		m.ask(ln)
		return
	}
	m.awaitGreeting(l, l.opened.Add(m.nullWait()), func() { m.ask(ln) })
}

// ask sends the probe and waits for the answer.
func (m *Machine) ask(ln *lane) {
	l := ln.line
	if l.probe = ln.probe; !l.open() {
		m.end(ln, laneEnded)
		return
	}
	m.sent(ln.probe)
	ln.sent, ln.until = m.now, m.until(ln.probe.TotalWait)
	l.answer.more(responseEnd)
	m.send(l, ln.probe.Name, m.p.payload(ln.probe, m.ep))
	m.listen(l, m.until(m.patience(ln.probe)), ln.until, func() { m.hearOn(ln) })
	if null := m.greeter(); null != nil {
		m.shorten(null, min(nullShare, ln.probe.TotalWait/2))
	}
}

// hearOn waits for the answer behind a greeting. A probe that is sent as soon
// as its connection is open, as on a revisit, gets the greeting of the peer
// first, and a rule may hit that alone. Where it is a greeting that no NULL
// rule knows, the first visit has gone on to the answer, so this one must too.
func (m *Machine) hearOn(ln *lane) {
	l := ln.line
	a := &l.answer
	if a.from > 0 || a.end != settled || !isGreeting(a.buf) || m.hits(m.p.db.Null(), l) {
		m.end(ln, laneEnded)
		return
	}
	a.more(nil)
	l.rejoins = true
	m.listen(l, ln.until, ln.until, func() {
		l.rejoins = false
		a.rejoin(settled)
		m.end(ln, laneEnded)
	})
}

// end gives the connection of a lane back, and matches what came over it.
func (m *Machine) end(ln *lane, how laneState) {
	if how == laneEnded {
		m.look(ln)
		m.close(ln.line)
		m.learnPace(ln)
	}
	ln.state, ln.endedAt = how, m.now
	ln.done()
}

// learnPace notes how long a probe waited for its answer. Those that are under
// way behind it wait accordingly, as they would if they were asked after it.
func (m *Machine) learnPace(ln *lane) {
	a := &ln.line.answer
	if ln.null || !a.heard() || !a.last.After(ln.sent) {
		return
	}
	m.prompt = max(m.prompt, a.last.Sub(ln.sent))
	behind := m.ladder.lanes[slices.Index(m.ladder.lanes, ln)+1:]
	for _, other := range behind {
		if other.null || other.state != laneUnderWay || other.sent.IsZero() {
			continue
		}
		l := other.line
		l.patience = earlier(l.patience, other.sent.Add(m.patience(other.probe)))
	}
}
