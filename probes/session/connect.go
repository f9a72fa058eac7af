package session

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"sonde/probes"
)

// connect opens a connection, and the tunnel inside it if there is one; for a
// lane unless ln is nil. Without a line for then it failed, and the visit knows
// why. But when others of ours were there besides, that may be the reason, and
// nothing is concluded: the endpoint turned us away.
func (m *Machine) connect(ln *lane, then func(l *line, away bool)) {
	if m.tunnel == probes.TLS {
		m.connectTLS(ln, then)
		return
	}
	m.dial(ln, 0, func(l *line, failed *connectError) {
		if failed == nil {
			m.accepted = true
			then(l, false)
			return
		}
		m.notThere(l, failed, then)
	})
}

// notThere goes on after a connect that failed.
func (m *Machine) notThere(l *line, failed *connectError, then func(*line, bool)) {
	if !l.beside {
		m.fail(failed)
	}
	then(nil, l.beside)
}

// dial opens one connection, or a socket. If that fails the line is only there
// to tell about.
func (m *Machine) dial(ln *lane, source uint16, then func(l *line, failed *connectError)) {
	m.numbers++
	m.budget.connections++
	l := &line{number: m.numbers, beside: len(m.lines) > 0}
	if ln != nil {
		ln.line = l
	}
	m.lines = append(m.lines, l)
	m.act(Action{Kind: Open, Conn: l.number, SourcePort: source})
	l.then = func() {
		if l.gone {
			m.close(l)
			then(l, classify(l.err))
			return
		}
		then(l, nil)
	}
}

// A connectError is a connect that failed, as it counts for the endpoint.
type connectError struct {
	outcome probes.Outcome
	state   probes.State
	reason  string
	err     error

	filtered bool // a packet filter refuses us
}

func (e *connectError) Error() string { return "connect: " + bare(e.err).Error() }

func (e *connectError) Unwrap() error { return e.err }

// classify says what a failed connect, or an error of a UDP socket, tells of
// the endpoint. The reasons are in nmap's words where it has one. What only
// speaks about this machine or this moment, such as a lack of descriptors, is
// inconclusive.
func classify(err error) *connectError {
	e := &connectError{err: err}
	timedOut := errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
	told, icmp := errors.AsType[icmpError](err)
	switch {
	case icmp:
		e.outcome, e.state = probes.OutcomeUnreachable, probes.Filtered
		e.reason, e.filtered = icmpReason(told.ICMP())
	case errors.Is(err, syscall.ECONNREFUSED):
		e.outcome, e.state, e.reason = probes.OutcomeRefused, probes.Closed, "conn-refused"
	case errors.Is(err, syscall.ECONNRESET):
		e.outcome, e.state, e.reason = probes.OutcomeRefused, probes.Closed, "reset"
	case errors.Is(err, syscall.ENOPROTOOPT):
		e.outcome, e.state, e.reason = probes.OutcomeRefused, probes.Closed, "proto-unreach"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		e.outcome, e.state, e.reason = probes.OutcomeUnreachable, probes.Filtered, "host-unreach"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN):
		e.outcome, e.state, e.reason = probes.OutcomeUnreachable, probes.Filtered, "net-unreach"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		// Not an ICMP message, which is told as EHOSTUNREACH, but a packet
		// filter of this machine.
		e.outcome, e.state, e.reason = probes.OutcomeUnreachable, probes.Filtered, "locally-prohibited"
	case timedOut:
		e.outcome, e.state, e.reason = probes.OutcomeSilent, probes.Filtered, "no-response"
	default:
		return notTried(err)
	}
	return e
}

// An icmpError is an error of a TCP connect that an ICMP message told of; see
// [sonde/probes/engine.ICMPError].
type icmpError interface {
	error
	ICMP() (kind, code uint8)
}

// icmpReason names a destination that an ICMP message (RFC 792, RFC 1812
// section 5.2.7.1) or an ICMPv6 message (RFC 4443 section 3.1) calls
// unreachable, and says whether that speaks of a packet filter: TCP answers a
// port without a service itself.
func icmpReason(kind, code uint8) (reason string, filter bool) {
	const unreachable, unreachable6 = 3, 1
	switch {
	case kind == unreachable && code == 3, kind == unreachable6 && code == 4:
		return "port-unreach", true
	case kind == unreachable && (code == 9 || code == 10 || code == 13),
		kind == unreachable6 && (code == 1 || code == 5 || code == 6):
		return "admin-prohibited", true
	case kind == unreachable && (code == 0 || code == 6 || code == 11), kind == unreachable6 && code == 0:
		return "net-unreach", false
	case kind == unreachable && code == 2:
		return "proto-unreach", false
	}
	return "host-unreach", false
}

// notTried is a connect that says nothing about the endpoint.
func notTried(err error) *connectError {
	return &connectError{outcome: probes.OutcomeInconclusive, reason: "not tried", err: err}
}

// errUnknown stands for an error that was not told.
var errUnknown = errors.New("unknown error")

// bare takes the addresses off an error: the endpoint is known, and our own
// port is noise.
func bare(err error) error {
	if err == nil {
		return errUnknown
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}
