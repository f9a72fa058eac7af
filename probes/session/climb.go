package session

import (
	"crypto/tls"
	"time"

	"sonde/probes"
)

// The NULL probe's waits where the database has none: the reference's.
const (
	defaultNullWait   = 6 * time.Second
	defaultTCPWrapped = 3 * time.Second
)

func (v *visit) nullWait() time.Duration {
	if null := v.p.db.Null(); null != nil {
		return null.TotalWait
	}
	return defaultNullWait
}

func (v *visit) wrappedWithin() time.Duration {
	if null := v.p.db.Null(); null != nil {
		return null.TCPWrapped
	}
	return defaultTCPWrapped
}

// visitTCP begins with the remembered probe, which is sent alone (part 2, row
// 15). The visit is over when its answer identifies the endpoint again, or
// when there is nobody to ask. A remembered greeting is what the ladder begins
// with anyway.
func (m *Machine) visitTCP() {
	pr := m.remembered()
	if pr == nil && (m.known.Tunnel != probes.TLS || m.industrial) {
		m.climb()
		return
	}
	m.visitAgain(pr)
}

// visitAgain begins with the remembered probe, in the remembered tunnel.
func (m *Machine) visitAgain(pr *probes.Probe) {
	if m.answersOutside(pr) {
		m.askOutside(pr)
		return
	}
	if m.known.Tunnel == probes.TLS {
		m.recallTLS()
	}
	m.connect(nil, func(l *line, _ bool) {
		switch {
		case l == nil && m.notTLS: // no tunnel any more: a service to learn anew
			m.notTLS = m.offering.spent()
			m.climb()
		case l == nil:
			m.recallOutside(pr)
		case pr == nil, pr.IsNull():
			m.greeted = pr != nil
			m.greeting(l)
		default:
			m.recall(pr, l)
		}
	})
}

// recall asks the remembered probe, on a connection if there is one already.
func (m *Machine) recall(pr *probes.Probe, l *line) {
	ln := &lane{probe: pr, line: l}
	ln.done = func() {
		switch {
		case m.misled(ln):
			m.visitInFull(pr, ln)
		case m.unconfirmed(ln):
			m.visitInside(pr)
		case ln.state == laneFailed, m.judge(ln), m.sameSoft():
			m.conclude()
		case m.outside:
			m.finish()
		default:
			m.forget()
			m.climb()
		}
	}
	m.run(ln)
}

// recallOutside asks in clear where TLS is spoken but we are not let in, unless
// the port is one of TLS, where nothing is ever asked in clear: the endpoint may
// be known by an answer that named the service behind the tunnel.
func (m *Machine) recallOutside(pr *probes.Probe) {
	if !m.shut || pr == nil || m.isTLSPort() {
		m.finish()
		return
	}
	m.outside = true
	m.tunnel = probes.NoTunnel
	m.recall(pr, nil)
}

// answersOutside reports whether the endpoint is known by what it answers in
// clear, while it lets nobody into TLS. Where that answer comes again, nothing
// has to be offered in vain.
func (m *Machine) answersOutside(pr *probes.Probe) bool {
	return pr != nil && !pr.IsNull() && m.shutBefore() != nil && !m.isTLSPort()
}

// askOutside asks in clear first.
func (m *Machine) askOutside(pr *probes.Probe) {
	facts := *m.known.Shut
	facts.Remembered = true
	m.tls, m.shut, m.outside = []probes.TLSFacts{facts}, true, true
	m.recall(pr, nil)
}

// unconfirmed reports whether an answer in clear does not say any more that TLS
// is spoken here, which was not offered yet.
func (m *Machine) unconfirmed(ln *lane) bool {
	return m.outside && m.offering == nil && ln.state == laneEnded && !ln.found.blocked() &&
		(ln.found.strength != probes.Hard || !ln.leads())
}

// visitInside begins again with the offers of TLS.
func (m *Machine) visitInside(pr *probes.Probe) {
	m.tls, m.shut, m.outside, m.known.Shut = nil, false, false, nil
	m.unask(pr)
	m.visitAgain(pr)
}

// leaveOutside ends what recallOutside began.
func (m *Machine) leaveOutside() {
	m.tunnel = probes.TLS
	if m.best.strength != probes.Hard {
		m.forget()
	}
}

// climb goes up the ladder: the NULL probe, those that list the port, the
// others (part 1, E.3).
func (m *Machine) climb() {
	m.connect(nil, func(l *line, _ bool) {
		if l == nil {
			m.finish()
			return
		}
		m.greeting(l)
	})
}

// greeting gives the peer the first word on l, a connection on which nothing
// was said yet: for the grace time, or for the NULL probe's full time if
// whatever comes next punishes early talk, nothing comes next, or a greeting is
// what the endpoint is known by (part 2, rows 5 and 15).
func (m *Machine) greeting(l *line) {
	patience := l.opened.Add(m.grace(l))
	again := m.greeted
	m.greeted = false
	if !again && m.mayTryTLS() {
		m.tryTLS(l) // who greets in clear there is heard as one that is not TLS
		return
	}
	if pr := m.next(); again || pr == nil || pr.WaitNull {
		patience = l.opened.Add(m.nullWait())
	}
	m.awaitGreeting(l, patience, func() { m.afterGreeting(l, again) })
}

// afterGreeting goes on to the probes. The next one is sent on the connection
// of the greeting, where the peer waits for it (part 1, F.1). A connection that
// is silent stays open beside it, or becomes a tunnel where the port is one of
// TLS.
func (m *Machine) afterGreeting(l *line, again bool) {
	ln := m.laneOfGreeting(l)
	m.look(ln)
	switch {
	case again && m.misled(ln):
		m.visitInFull(ln.probe, ln)
	case l.answer.heard():
		switch over := m.judge(ln) || again && m.sameSoft(); {
		case over:
			m.conclude()
		case !l.open() || l.answer.room() == 0:
			m.close(l)
			m.ascend(nil, nil)
		default:
			m.ascend(l, nil)
		}
	case !l.open():
		m.close(l)
		m.closing(l)
		quick := m.now.Sub(l.opened) < m.wrappedWithin()
		if m.shut || quick && m.tunnel == probes.NoTunnel {
			m.finish()
			return
		}
		m.ascend(nil, nil)
	case m.mayTryTLS():
		m.tryTLS(l)
	default:
		if pr := m.next(); pr != nil && (pr.WaitNull || m.tunnel == probes.TLS) {
			m.ascend(l, nil) // it has waited, see greeting; or another handshake would cost more
			return
		}
		m.ascend(nil, l)
	}
}

// awaitGreeting waits for a greeting on l until patience; one that has begun is
// heard to its end. The end that its syntax shows is enough where a rule hits.
// Otherwise more lines may follow, and it is heard until it settles: what is
// sent on the connection next must not depend on how it came in segments.
func (m *Machine) awaitGreeting(l *line, patience time.Time, then func()) {
	full := m.until(m.nullWait())
	l.answer.ends = greetingEnd
	m.listen(l, earlier(patience, full), full, func() {
		if l.answer.end != proven || m.hits(m.p.db.Null(), l) {
			then()
			return
		}
		l.answer.reopen()
		full := m.until(m.nullWait())
		m.listen(l, full, full, then)
	})
}

// hits reports whether what came on l is a hard match of pr.
func (v *visit) hits(pr *probes.Probe, l *line) bool {
	f, _ := find(pr, v.scratch, l.answer.buf)
	return f.strength == probes.Hard
}

// mayTryTLS reports whether a silent connection becomes a tunnel.
func (v *visit) mayTryTLS() bool { return v.tunnel == probes.NoTunnel && v.isTLSPort() }

// grace is how long the peer has the first word on l. A greeting that is sent
// when the connection is accepted needs one round trip to come; one inside a
// tunnel needs none where the last flight of the handshake was the server's own
// (RFC 5246 section 7.3: a full handshake before TLS 1.3).
func (v *visit) grace(l *line) time.Duration {
	if l.shook != nil && !l.resumed && l.shown().Version != tls.VersionName(tls.VersionTLS13) {
		return v.p.settings.NullGrace
	}
	return v.replyGrace(l)
}

// replyGrace is how long the peer may take to say something, and not be taken
// for silent, after what was sent on l.
func (v *visit) replyGrace(l *line) time.Duration {
	return v.p.settings.NullGrace + min(l.rtt, maxTrip)
}
