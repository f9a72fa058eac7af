package session

import (
	"slices"
	"time"

	"sonde/probes"
)

// A ladder is the probes that are being asked, several side by side where the
// peer is silent (SCAN-SEMANTICS part 2, rows 4 and 5). What is told is what
// asking one after the other tells:
//
//   - Lanes are judged in their order, each when all before it are.
//   - A hard match waits for those before it that have received something. One
//     that has received nothing for a settle time more is superseded by it,
//     unless it only leads into a tunnel.
//   - After a soft match only the lanes that come next in the narrowed order
//     stay, whatever the others have heard.
//   - What happens to a connection without a byte may be due to our others: a
//     server may let one client in at a time. Where it queues us, a silent lane
//     outlives those before it; see mustStay. Where it turns us away, the probe
//     is asked again when it is alone.
//
// No lane begins beside one that is being answered, nor within the grace time
// of another: a peer that answers is asked one thing after the other.
type ladder struct {
	climbing bool
	lanes    []*lane // in their order; those under way and those not judged
	spare    *line   // to ask the first probe on, after the greeting

	alone   bool          // one connection at a time: the peer turned us away
	suspect *probes.Probe // was turned away, or just hung up on
}

// ascend begins with the probes. The first is sent on reuse, if there is one;
// null is a silent connection that stays open beside them.
func (m *Machine) ascend(reuse, null *line) {
	m.ladder = ladder{climbing: true, spare: reuse, alone: m.ladder.alone}
	if null == nil {
		return
	}
	ln := m.laneOfGreeting(null)
	ln.done = func() {}
	m.ladder.lanes = append(m.ladder.lanes, ln)
	m.awaitGreeting(null, null.opened.Add(m.nullWait()), func() { m.end(ln, laneEnded) })
	if m.width() == 1 {
		m.shorten(ln, nullShare)
	}
}

// width is how many connections there may be.
func (m *Machine) width() int {
	if m.ladder.alone {
		return 1
	}
	return m.p.settings.Connections
}

// advance does one thing that is to be done on the ladder, and reports false
// when there is none.
func (m *Machine) advance() bool {
	m.poke = time.Time{}
	lanes := m.ladder.lanes
	if len(lanes) > 0 {
		switch head := lanes[0]; {
		case head.state != laneUnderWay:
			m.ladder.lanes = lanes[1:]
			m.commit(head)
			return true
		case m.superseded(head):
			m.note("probe %s: superseded", head.probe.Name)
			m.ladder.lanes = lanes[1:]
			m.close(head.line)
			return true
		}
	}
	return m.startNext()
}

// commit judges a lane whose turn it is.
func (m *Machine) commit(ln *lane) {
	if ln.state == laneFailed {
		m.finish()
		return
	}
	soft := m.softService()
	if m.judge(ln) {
		m.conclude()
		return
	}
	if soft != m.softService() {
		m.realign()
	}
}

// superseded reports whether a silent lane has lost to a hard match behind it.
// What it heard in the time of a lost packet still counts.
func (m *Machine) superseded(head *lane) bool {
	if head.null || !head.silent() {
		return false
	}
	i := slices.IndexFunc(m.ladder.lanes, (*lane).wins)
	if i < 0 {
		return false
	}
	at := m.ladder.lanes[i].endedAt.Add(m.p.settings.Settle)
	m.lookAgain(at)
	return !m.now.Before(at)
}

// lookAgain makes the ladder be looked at when at has come.
func (m *Machine) lookAgain(at time.Time) {
	if m.poke.IsZero() || at.Before(m.poke) {
		m.poke = at
	}
}

// realign keeps of the lanes those that come next after a soft match.
func (m *Machine) realign() {
	lanes := m.ladder.lanes
	for _, ln := range lanes {
		m.unask(ln.probe)
	}
	for i, ln := range lanes {
		if m.next() != ln.probe {
			m.ladder.lanes = slices.Clip(lanes[:i])
			for _, ln := range lanes[i:] {
				m.discard(ln)
			}
			return
		}
		m.asked = append(m.asked, ln.probe)
	}
}

// unask puts a probe back on the ladder.
func (m *Machine) unask(pr *probes.Probe) {
	m.asked = slices.DeleteFunc(m.asked, func(p *probes.Probe) bool { return p == pr })
}

// discard gives up a lane, whose probe may be asked again.
func (m *Machine) discard(ln *lane) {
	if !ln.sent.IsZero() {
		m.budget.repeated++
	}
	m.close(ln.line)
}

// startNext asks one more probe, if there is one and it may be asked now. The
// visit is over when there is none and nothing is under way.
func (m *Machine) startNext() bool {
	lanes := m.ladder.lanes
	busy := 0
	for _, ln := range lanes {
		switch {
		case ln.state == laneUnderWay:
			busy++
		case ln.found.rule != nil: // nothing behind it may be needed
			return false
		}
	}
	if busy > 0 && busy >= m.width() || !m.quiet() {
		return false
	}
	pr := m.next()
	why := ""
	if pr != nil {
		why = m.budget.spent(len(pr.Payload))
	}
	if pr == nil || why != "" {
		return m.noMore(why)
	}
	ln := &lane{probe: pr, line: m.ladder.spare}
	ln.done = func() { m.laneDone(ln) }
	m.ladder.spare = nil
	m.ladder.lanes = append(m.ladder.lanes, ln)
	m.run(ln)
	return true
}

// quiet reports whether each probe under way was met with silence for the
// grace time, since it was sent and since it is not behind another.
func (m *Machine) quiet() bool {
	for _, ln := range m.ladder.lanes {
		switch {
		case ln.null || ln.state != laneUnderWay:
		case ln.sent.IsZero() || !ln.silent():
			return false
		default:
			at := ln.sent
			if cleared := ln.line.cleared; cleared.After(at) { // its turn may have come
				at = cleared
			}
			if at = at.Add(m.replyGrace(ln.line)); m.now.Before(at) {
				m.lookAgain(at)
				return false
			}
		}
	}
	return true
}

// noMore deals with the end of the ladder, or of a budget, which why names.
func (m *Machine) noMore(why string) bool {
	switch lanes := m.ladder.lanes; {
	case len(lanes) == 1 && lanes[0].null:
		m.shorten(lanes[0], glance)
		return false
	case len(lanes) > 0:
		return false
	}
	if why != "" {
		m.notTried(why)
	}
	m.finish()
	return true
}

// greeter is the lane of a connection that only listens, or nil.
func (m *Machine) greeter() *lane {
	if lanes := m.ladder.lanes; len(lanes) > 0 && lanes[0].null && lanes[0].state == laneUnderWay {
		return lanes[0]
	}
	return nil
}

// shorten leaves a greeting no more than wait to begin. One that has begun is
// heard to its end.
func (m *Machine) shorten(ln *lane, wait time.Duration) {
	ln.line.patience = earlier(ln.line.patience, m.now.Add(wait))
}

// laneDone says what the end of one lane means for the others.
func (m *Machine) laneDone(ln *lane) {
	null := m.greeter()
	switch {
	case ln.state == laneAway && !ln.probe.WaitNull && m.hasPlace(ln, null):
		m.moveIn(ln, null)
		return
	case ln.state == laneAway, ln.found.blocked() && ln.line.beside:
		m.retreat(ln)
		return
	case ln.state == laneEnded && ln.line.hungUp() && ln.line.beside:
		m.ladder.suspect = ln.probe
		if m.hasPlace(ln, null) {
			m.closing(ln.line)
			m.moveIn(ln, null)
			return
		}
		m.retreat(ln)
		return
	case ln.probe == m.ladder.suspect:
		m.ladder.suspect = nil
		if ln.state == laneEnded && ln.line.hungUp() { // it was not our others
			m.ladder.alone = false
		}
	}
	if null != nil {
		m.shorten(null, glance)
	}
}

// hasPlace reports whether a lane that was turned away is the first behind a
// silent greeting, on whose connection it can be asked.
func (m *Machine) hasPlace(ln, null *lane) bool {
	return null != nil && m.ladder.lanes[1] == ln && null.silent() && null.line.open() &&
		m.budget.spent(0) == ""
}

// retreat goes on with one connection at a time, after a lane was turned away.
// It and those behind it are asked again.
func (m *Machine) retreat(from *lane) {
	m.ladder.alone = true
	i := slices.Index(m.ladder.lanes, from)
	for _, ln := range m.ladder.lanes[i:] {
		m.unask(ln.probe)
		m.discard(ln)
	}
	m.ladder.lanes = slices.Clip(m.ladder.lanes[:i])
	if null := m.greeter(); null != nil {
		m.shorten(null, glance)
	}
}

// moveIn asks a probe that was turned away on the silent connection that has
// taken the place (part 1, F.1). A server that begins anew when its one client
// leaves is not there for a while, so that this may be the only chance.
func (m *Machine) moveIn(ln, null *lane) {
	m.retreat(ln)
	m.ladder.lanes = nil
	moved := &lane{probe: ln.probe, line: null.line}
	moved.done = func() { m.laneDone(moved) }
	m.ladder.lanes = append(m.ladder.lanes, moved)
	m.run(moved)
}
