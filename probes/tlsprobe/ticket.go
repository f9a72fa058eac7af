package tlsprobe

import (
	"crypto/tls"

	"sonde/probes"
)

// A Ticket takes up a session of TLS 1.0 to 1.2 again (RFC 5077), which saves a
// round trip and the certificate. The zero value asks for one: a handshake that
// ends well leaves in [Config.Ticket] what the server gives, which may be
// nothing.
//
// There are none of TLS 1.3, where they save nothing. That a certificate has
// expired is no reason against one here, as it is none against a full handshake.
//
// A Ticket holds secrets of its session, in which there are none of ours.
type Ticket struct {
	ticket, state []byte
	clientCert    string // what the full handshake showed beside the certificate
}

// MaxTicket bounds a ticket in bytes; a server that gives a longer one is not
// given it back. A chain of three certificates of 2 KiB and a ticket of 2 KiB,
// in which some servers keep a certificate of the client, take half of it.
const MaxTicket = 16 << 10

// Size is how many bytes of memory the ticket takes; 0: there is none.
func (t *Ticket) Size() int { return len(t.ticket) + len(t.state) }

// A session is the cache of crypto/tls for one handshake.
type session struct {
	offered *tls.ClientSessionState // nil: there is none
	given   *tls.ClientSessionState // by the server in this handshake
	used    bool                    // what is offered was asked for
	over    bool                    // so is the handshake: what comes is of TLS 1.3
}

// newSession prepares a handshake with a ticket.
func newSession(t *Ticket) *session {
	s := new(session)
	if t.Size() == 0 {
		return s
	}
	state, err := tls.ParseSessionState(t.state)
	if err != nil {
		return s // of no use: a full handshake
	}
	if offered, err := tls.NewResumptionState(t.ticket, state); err == nil {
		s.offered = offered
	}
	return s
}

// Get implements tls.ClientSessionCache.
func (s *session) Get(string) (*tls.ClientSessionState, bool) {
	s.used = s.offered != nil
	return s.offered, s.used
}

// Put implements tls.ClientSessionCache.
func (s *session) Put(_ string, given *tls.ClientSessionState) {
	if !s.over {
		s.given = given
	}
}

// keep ends a handshake that succeeded: t becomes what the server gave. One
// that was resumed may leave the old one in place.
func (s *session) keep(t *Ticket, facts *probes.TLSFacts, cs tls.ConnectionState) {
	s.over = true
	if s.given == nil && cs.DidResume {
		return
	}
	*t = Ticket{clientCert: facts.ClientCert}
	if s.given == nil || cs.Version >= tls.VersionTLS13 {
		return
	}
	ticket, state, err := s.given.ResumptionState()
	if err != nil || state == nil {
		return
	}
	encoded, err := state.Bytes()
	if err != nil || len(ticket)+len(encoded) > MaxTicket {
		return
	}
	t.ticket, t.state = ticket, encoded
}

// setResumed fills in what a resumed handshake does not show.
func (t *Ticket) setResumed(facts *probes.TLSFacts, cs tls.ConnectionState) {
	facts.Remembered = true
	facts.ClientCert = t.clientCert
	if len(cs.PeerCertificates) > 0 {
		facts.Certificate = Certificate(cs.PeerCertificates[0].Raw)
	}
}
