package session

import (
	"cmp"
	"crypto/tls"
	"errors"
	"slices"
	"time"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// hellos gives the ways to offer TLS, best first (part 2, row 7): with the
// first name of the target, if it has one, and every version; then, for
// servers that stumble over what they do not know, up to TLS 1.2 and without
// a name.
func hellos(names []string) []tlsprobe.Config {
	return []tlsprobe.Config{{Name: hostName(names)}, {MaxVersion: tls.VersionTLS12}}
}

// conclude ends the visit, or goes on in the tunnel that a match has named.
func (m *Machine) conclude() {
	if !m.leads {
		m.finish()
		return
	}
	m.leads, m.entered = false, true
	m.closeAll()
	m.ladder = ladder{alone: m.ladder.alone}
	m.enter()
}

// enter starts the visit again inside a tunnel, after a match that named one
// (part 1, G.1). What was found outside counts no more, but for the match of a
// service behind TLS: it stays if the tunnel shows nothing better.
//
// The reference ends at "ssl/x" without a look inside (G.2). Then a revisit,
// which starts inside, would not compare with it.
func (m *Machine) enter() {
	m.forget()
	m.tunnel = probes.TLS
	m.climb()
}

// leaveTunnel ends what enter began.
func (v *visit) leaveTunnel() {
	v.tunnel = probes.TLS // a failed handshake does not refute the match
	if v.behind != nil && v.best.strength != probes.Hard {
		v.best = *v.behind
		if v.outcome == probes.OutcomeInconclusive {
			v.outcome, v.reason = "", "" // that was of the tunnel
		}
	}
}

// tryTLS offers TLS on a connection that is silent, at a port where the
// database expects it. If the peer speaks something else, the ladder goes on
// without a tunnel.
func (m *Machine) tryTLS(l *line) {
	m.tunnel = probes.TLS
	m.hellos = hellos(m.ep.Names)
	m.shake(l, m.hellos[0], tlsTrial, func(again bool, err error) {
		switch {
		case err == nil:
			m.hellos = m.hellos[:1]
			m.greeting(l)
		case again:
			m.tryOtherHellos()
		default:
			m.noTunnelHere()
		}
	})
}

// tryOtherHellos goes on with the ways to offer TLS after the first.
func (m *Machine) tryOtherHellos() {
	all := m.hellos
	m.hellos = all[1:]
	m.connect(nil, func(l *line, _ bool) {
		if l == nil {
			m.hellos = all
			m.noTunnelHere()
			return
		}
		m.greeting(l)
	})
}

// noTunnelHere goes on after a handshake that failed. The visit ends when TLS
// is spoken, as everything else would only draw alerts, and when the connect
// failed.
func (m *Machine) noTunnelHere() {
	if !m.notTLS {
		m.finish()
		return
	}
	m.tunnel, m.tls = probes.NoTunnel, nil
	m.ascend(nil, nil)
}

// connectTLS opens a connection and a tunnel in it, see connect. Later ways to
// offer TLS, from the one at i on, are tried when an earlier one fails in a
// manner that they may mend. If all fail, shut or notTLS says why, or the
// connect did. After a handshake that succeeded it is neither: the peer speaks
// TLS, but not now.
func (m *Machine) connectTLS(ln *lane, i int, then func(l *line, away bool)) {
	if m.hellos == nil {
		m.hellos = hellos(m.ep.Names)
	}
	m.dial(ln, 0, func(l *line, failed *connectError) {
		if failed != nil {
			m.notThere(l, failed, then)
			return
		}
		m.accepted = true
		m.shake(l, m.hellos[i], m.p.settings.TLSTimeout, func(again bool, err error) {
			switch {
			case err == nil:
				m.hellos = m.hellos[i : i+1]
				then(l, false)
			case l.beside && m.shaken:
				then(nil, true)
			case again && i+1 < len(m.hellos):
				m.connectTLS(ln, i+1, then)
			default:
				m.giveUpTLS()
				then(nil, false)
			}
		})
	})
}

// giveUpTLS says what it means that no way to offer TLS has succeeded.
func (v *visit) giveUpTLS() {
	switch {
	case v.shaken:
		v.shut, v.notTLS = false, false
		v.giveUp("handshake failed after one that succeeded")
	case v.notTLS:
		v.tunnel = probes.NoTunnel
	}
}

// shake makes l the inside of a tunnel. If that fails l is gone, and again
// tells whether another hello may do better.
func (m *Machine) shake(l *line, hello tlsprobe.Config, limit time.Duration,
	then func(again bool, err error)) {
	l.phase = shaking
	m.act(Action{
		Kind: StartTLS, Conn: l.number, Hello: hello, MaxBytes: m.budget.room(),
		Timeout: min(limit, m.p.settings.TLSTimeout, m.budget.patience()),
	})
	l.then = func() {
		l.phase = opening
		var facts probes.TLSFacts
		if l.shook != nil {
			facts = l.shook.Facts
		}
		switch {
		case !l.gone:
			m.seen(m.now)
			m.learn(facts)
			m.shut, m.notTLS, m.stalled, m.shaken = false, false, false, true
			l.opened, l.answer = m.now, m.newAnswer(nil)
			then(false, nil)
		case l.beside && m.shaken: // others of ours are inside: no conclusion
			m.close(l)
			then(false, cmp.Or(l.err, errUnknown))
		default:
			m.close(l)
			then(m.handshakeFailed(facts, l.err), cmp.Or(l.err, errUnknown))
		}
	}
}

// handshakeFailed keeps what a failed handshake showed.
func (v *visit) handshakeFailed(facts probes.TLSFacts, err error) (again bool) {
	failed, ok := errors.AsType[*tlsprobe.HandshakeError](err)
	spoke := ok && failed.SpokeTLS || facts.Certificate != nil
	if spoke {
		v.learn(facts)
		v.seen(v.now)
	} else {
		v.note("TLS handshake: %s", facts.Alert)
	}
	v.stalled = spoke && (facts.Alert == "timeout" || errors.Is(err, ErrHandshakeBytes))
	v.lingered = v.lingered || ok && failed.Silent && facts.Alert == "timeout"
	v.shut = v.shut || spoke
	v.notTLS = !v.shut
	hungUp := ok && failed.Silent && (facts.Alert == "closed" || facts.Alert == "reset")
	return facts.Certificate == nil && (spoke && !v.stalled || hungUp)
}

// learn keeps the facts of the handshake that showed most: of a whole one, or
// else of one with a certificate.
func (v *visit) learn(facts probes.TLSFacts) {
	if len(v.tls) == 0 {
		v.tls = []probes.TLSFacts{facts}
		return
	}
	have := v.tls[0]
	if have.Alert != "" && (facts.Alert == "" || have.Certificate == nil && facts.Certificate != nil) {
		v.tls[0] = facts
	}
}

// alerted notes an alert that came after the handshake. Before anything was
// said it is about us, and so are some at any time: since TLS 1.3 this is how a
// server tells that it wants a client certificate. Others end one connection.
func (v *visit) alerted(l *line, alert string) {
	if l.said && !slices.Contains(turnAways, alert) {
		v.note("closed: TLS alert: %s", alert)
		return
	}
	v.shut = true
	if len(v.tls) > 0 {
		v.tls[0].Alert = alert
	}
}

// turnAways are the alerts about a client certificate (RFC 8446 section 6.2),
// as crypto/tls names them.
var turnAways = []string{
	"certificate required", "bad certificate", "unsupported certificate",
	"revoked certificate", "expired certificate", "unknown certificate",
	"unknown certificate authority", "access denied", "handshake failure",
}
