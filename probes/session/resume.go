package session

import (
	"errors"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// ticketUse says how the next handshake for the identity may be shortened: that
// of a revisit gives back what an earlier one earned, as long as nothing speaks
// against it. The certificate is then the one that was read by the last full
// handshake, at most a day ago.
func (m *Machine) ticketUse() TicketUse {
	switch {
	case m.inFull:
		return NoTicket
	case m.known.Tunnel == probes.TLS && !m.shaken:
		return UseTicket
	}
	return AskTicket
}

// ticketFailed reports whether the handshake on l is to be made again in full: a
// server may stumble over a ticket and not over anything else. This happens once
// in a visit.
func (m *Machine) ticketFailed(l *line) bool {
	failed, ok := errors.AsType[*tlsprobe.HandshakeError](l.err)
	if !ok || !failed.Ticket || m.inFull || m.budget.noHandshake() != "" {
		return false
	}
	m.inFull = true
	m.note("TLS handshake with a ticket: %s; made again in full", l.shown().Alert)
	return true
}

// misled reports whether a lane in a resumed session shows anything but what is
// known of the endpoint. That may be the session's fault: only a full handshake
// may say that the service has changed.
func (m *Machine) misled(ln *lane) bool {
	if ln.line == nil || !ln.line.resumed || ln.state != laneEnded || m.inFull {
		return false
	}
	f, known := &ln.found, &m.known
	switch {
	case f.blocked():
		return false
	case f.strength == probes.Hard:
		return known.Service != "" && f.id.Service != known.Service
	case f.strength == probes.Soft:
		return f.id.Service != known.Soft
	}
	return true
}

// visitInFull begins the visit again, with a full handshake.
func (m *Machine) visitInFull(pr *probes.Probe, ln *lane) {
	m.note("in a resumed TLS session: another answer; asked again in a new one")
	m.inFull = true
	m.close(ln.line)
	if !ln.sent.IsZero() {
		m.unask(pr)
		m.budget.repeated++
	}
	m.shaken, m.tls = false, nil
	m.visitAgain(pr)
}
