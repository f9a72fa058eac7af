package session

import (
	"errors"
	"io"
	"slices"
	"time"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// A phase is what a connection is at.
type phase uint8

const (
	opening   phase = iota // or, once open, between two waits
	shaking                // hands, for a tunnel
	listening              // to the peer, until a time or the end of its answer
	sending                // a datagram, which the rates may hold back
)

// A line is one connection to the endpoint, or a UDP socket, and what came
// over it.
type line struct {
	number int
	phase  phase
	probe  *probes.Probe // that the answer is to; nil for a greeting
	answer answer
	opened time.Time        // when the connect, or the handshake, was complete
	rtt    time.Duration    // how long the connect took
	err    error            // how it ended, io.EOF for a plain close
	shook  *Handshake       // what the handshake showed
	key    *KeyExchange     // what an SSH server's key exchange showed
	reader *tlsprobe.Reader // of the answer to a hello made by hand

	gone    bool   // not there any more, or never was
	said    bool   // something was sent on it
	empty   bool   // a datagram without a byte came
	beside  bool   // another was there when it was opened
	resumed bool   // the tunnel in it is a session of an earlier one
	rejoins bool   // what comes is one answer with what came before
	service string // that was recognised on it
	unsent  int    // datagrams of an RPC conversation that the rates hold back

	patience, until time.Time // of listening, see answer.wake; until of shaking by hand too
	cleared         time.Time // when an older one was closed last

	ready bool   // the wait is over
	then  func() // what to do when it is
}

// open reports whether the peer has not closed.
func (l *line) open() bool { return l.answer.end != closed }

// hungUp reports whether the peer closed without a word. An alert is one.
func (l *line) hungUp() bool {
	return !l.open() && !l.answer.heard() && tlsprobe.Alert(l.err) == ""
}

func (m *Machine) lineOf(number int) *line {
	for _, l := range m.lines {
		if l.number == number {
			return l
		}
	}
	return nil
}

// told takes in what happened to a connection.
func (m *Machine) told(l *line, e Event) {
	switch e.Kind {
	case Opened:
		l.opened, l.rtt, l.ready = m.now, e.RTT, true
		l.answer = m.newAnswer(nil)
		m.seen(m.now)
	case Secured, Unsecured:
		l.shook, l.ready = e.TLS, true
		l.gone, l.err = e.Kind == Unsecured, e.Err
		if e.TLS != nil {
			m.budget.out += e.TLS.BytesOut
			m.budget.in += e.TLS.BytesIn
		}
	case Shown:
		l.gone, l.err, l.key, l.ready = true, e.Err, e.Key, true
		if e.Key != nil {
			m.budget.out += e.Key.BytesOut
			m.budget.in += e.Key.BytesIn
		}
	case Sent:
		m.handedOver(l)
		m.extraSent(l)
	case Received:
		switch {
		case m.ep.Transport == probes.UDP && m.extras == nil:
			m.datagram(l, e)
		case l.phase == shaking && l.reader != nil:
			m.hearServer(l, e.Data)
		case l.phase == listening && m.fromPeer(e.From):
			m.take(l, e.Data)
		}
	case Stirred:
		l.answer.stir(m.now)
	case Rejected:
		m.rejected(l, e)
	case Ended:
		l.gone, l.err = true, e.Err
		if l.phase == listening {
			l.answer.finish(closed)
		} else {
			l.ready = true
		}
	}
}

// take adds bytes to the answer, as far as they are wanted.
func (m *Machine) take(l *line, data []byte) {
	data = data[:min(len(data), l.answer.room(), m.budget.room())]
	l.answer.add(m.now, data)
	m.budget.in += len(data)
}

// listen waits on l until the answer is final, until no byte came before
// patience, or until the time until has come, which makes what there is final.
func (m *Machine) listen(l *line, patience, until time.Time, then func()) {
	l.phase, l.patience, l.until = listening, patience, until
	l.then = func() {
		l.phase = opening
		then()
	}
}

// heardOut reports whether listening to l is over.
func (m *Machine) heardOut(l *line) bool {
	a := &l.answer
	switch {
	case a.final():
	case m.budget.room() == 0:
		if a.heard() {
			a.finish(cutShort)
		}
	case !m.now.Before(l.until):
		if !a.heard() && m.mustStay(l) {
			return false
		}
		a.expire(m.now)
	case !a.heard():
		return !m.now.Before(l.patience)
	default:
		a.tick(m.now)
		return a.final()
	}
	return true
}

// mustStay lets a silent connection live on while an older one of ours is
// there. A server that serves one client at a time reads from it only then, and
// must not be cheated of its answer.
func (m *Machine) mustStay(l *line) bool {
	if m.lines[0] == l || m.ep.Transport == probes.UDP || m.budget.patience() == 0 {
		return false
	}
	m.prolong(l)
	return true
}

// prolong gives a silent connection a moment more.
func (m *Machine) prolong(l *line) {
	stay := m.until(afterOlder)
	if l.phase == listening && !l.answer.heard() && l.until.Before(stay) {
		l.patience, l.until = stay, stay
	}
}

// send sends payload, which is what, on l.
func (m *Machine) send(l *line, what string, payload []byte) {
	l.said = true
	m.budget.out += len(payload)
	m.act(Action{Kind: Send, Conn: l.number, Data: payload, What: what})
}

// close gives the connection back, with the goodbye of what was recognised on
// it. It may be called more than once.
func (m *Machine) close(l *line) {
	i := slices.Index(m.lines, l)
	if i < 0 {
		return
	}
	m.lines = slices.Delete(m.lines, i, i+1)
	for _, younger := range m.lines[i:] {
		younger.cleared = m.now
		m.prolong(younger) // its turn may have come
	}
	l.then = nil
	if l.gone {
		return
	}
	if bye := m.goodbye(l); len(bye) > 0 {
		m.goodbyes++
		m.send(l, SaidGoodbye, bye)
	}
	m.act(Action{Kind: Close, Conn: l.number})
}

func (m *Machine) closeAll() {
	for len(m.lines) > 0 {
		m.close(m.lines[0])
	}
}

// goodbye is what a protocol wants to hear from a client that leaves. Who just
// hangs up is counted by some servers, and then shut out.
func (m *Machine) goodbye(l *line) []byte {
	switch {
	case l.service == "", !l.open(), m.industrial, m.ep.Transport == probes.UDP:
		return nil
	case !l.said:
	case l.service == "ssh", l.service == "mysql": // too late, see probes.Goodbye
		return nil
	case l.probe == nil || !l.probe.Names(l.service): // another protocol was spoken
		return nil
	}
	return probes.Goodbye(l.service, m.p.settings.Allow.Needs())
}

// closing tells how a connection without an answer ended.
func (v *visit) closing(l *line) {
	switch alert := tlsprobe.Alert(l.err); {
	case l.open():
		v.lingered = true
	case alert != "":
		v.alerted(l, alert)
	case l.err != nil && !errors.Is(l.err, io.EOF):
		v.note("closed: %v", bare(l.err))
	}
}
