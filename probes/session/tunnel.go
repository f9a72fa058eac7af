package session

import (
	"slices"

	"sonde/probes"
)

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
	if !m.takeUp() { // all was tried in vain
		m.finish()
		return
	}
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
	m.tunnel, m.offering = probes.TLS, m.newOffering(false)
	m.shake(l, tlsTrial, func(again bool, err error) {
		switch {
		case err == nil:
			m.greeting(l)
		case again:
			m.tryOtherOffers()
		default:
			m.noTunnelHere()
		}
	})
}

// tryOtherOffers goes on with the ways to offer TLS after the first.
func (m *Machine) tryOtherOffers() {
	m.connect(nil, func(l *line, _ bool) {
		if l == nil {
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
	m.tunnel = probes.NoTunnel
	m.ascend(nil, nil)
}

// connectTLS opens a connection and a tunnel in it, see connect. As long as
// none was let in, it is done again for each way to offer TLS. If all fail,
// shut or notTLS says why, or the connect did. After a handshake that succeeded
// it is neither: the peer speaks TLS, but not now.
func (m *Machine) connectTLS(ln *lane, then func(l *line, away bool)) {
	m.dial(ln, 0, func(l *line, failed *connectError) {
		if failed != nil {
			m.notThere(l, failed, then)
			return
		}
		m.accepted = true
		m.shake(l, m.p.settings.TLSTimeout, func(again bool, err error) {
			switch {
			case err == nil:
				then(l, false)
			case l.beside && m.shaken:
				then(nil, true)
			case again:
				m.connectTLS(ln, then)
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
		v.giveUp("handshake failed after one that succeeded")
	case v.notTLS:
		v.tunnel = probes.NoTunnel
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
