package session

import (
	"slices"
	"time"

	"sonde/probes"
	"sonde/probes/starttls"
)

// startTLSLimit is how long a STARTTLS dialogue and its handshake may take
// together on one connection. Servers that look up the name of a client first
// take some seconds; an IRC server was seen at 11.6 s.
const startTLSLimit = 15 * time.Second

// mayStartTLS reports whether the service has a STARTTLS that may be asked for.
// Where a connection that ends after the handshake counts as a failed login, it
// must be allowed to try one.
func (m *Machine) mayStartTLS() bool {
	service := m.extras.observation.Service
	_, has := starttls.For(service)
	return has && m.p.settings.StartTLS && m.ep.Transport == probes.TCP &&
		(m.p.settings.Allow.Credentials || !starttls.Strikes(service))
}

// An upgrade is how far the search for a certificate behind STARTTLS has come.
type upgrade struct {
	*offering
	begin starttls.Factory
	talk  starttls.Dialogue // on this connection
	until time.Time
}

// startTLS asks for the certificate of a service that begins in clear.
func (m *Machine) startTLS() {
	begin, _ := starttls.For(m.extras.observation.Service)
	m.dialUpgrade(&upgrade{offering: m.newOffering(true), begin: begin})
}

// dialUpgrade opens the connection for an offer of TLS.
func (m *Machine) dialUpgrade(u *upgrade) {
	m.dial(nil, 0, func(l *line, failed *connectError) {
		if failed != nil {
			m.endUpgrade(u, failed.Error())
			return
		}
		u.until = m.now.Add(startTLSLimit)
		u.talk = u.begin(starttls.Options{Name: m.p.identity.EHLOName, Host: hostName(m.ep.Names)})
		m.negotiate(l, u, nil)
	})
}

// negotiate goes on with a dialogue, by what was received.
func (m *Machine) negotiate(l *line, u *upgrade, received []byte) {
	send, state := u.talk.Next(received)
	m.say(l, SaidUpgrade, send)
	switch state {
	case starttls.Waiting:
		m.hear(l, u.until, func() {
			if !l.answer.heard() {
				m.endUpgrade(u, silence(l))
				return
			}
			m.negotiate(l, u, l.answer.buf)
		})
	case starttls.Ready:
		m.offerTLS(l, u)
	default:
		m.endUpgrade(u, u.talk.Reason())
	}
}

// offerTLS shakes hands on l, and takes leave inside the tunnel. A failure that
// another offer may mend is followed by that, as far as such tunnels go: the
// hellos made by hand are for ports of TLS.
func (m *Machine) offerTLS(l *line, u *upgrade) {
	offer := u.offers[u.at].Config
	m.secure(l, offer, u.until, func(facts probes.TLSFacts, err error) {
		if err == nil {
			m.tellTLS(facts)
			m.say(l, SaidGoodbye, u.talk.Goodbye())
			m.nextExtra()
			return
		}
		m.close(l)
		next, more := u.fail(tryOf(u.at, facts, err))
		if !more || u.offers[next].Hello != nil {
			m.endUpgrade(u, "handshake: "+u.facts.Alert)
			return
		}
		u.at = next
		m.dialUpgrade(u)
	})
}

// endUpgrade notes why there was no handshake. Of those that failed only a
// certificate is worth telling: an alert would push out the one that is known.
func (m *Machine) endUpgrade(u *upgrade, why string) {
	m.regret("STARTTLS: %s", why)
	if u.facts.Certificate != nil {
		m.tellTLS(u.facts)
	}
	m.nextExtra()
}

func (m *Machine) tellTLS(facts probes.TLSFacts) {
	o := &m.extras.observation
	o.TLS = append(slices.Clip(o.TLS), facts)
}
