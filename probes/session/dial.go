package session

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"sonde/probes"
)

// A Dialer opens connections; *net.Dialer is one. The network is "tcp" or
// "udp", the address an IP literal with a port.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// A connectError is a connect that failed, as it counts for the endpoint.
type connectError struct {
	outcome probes.Outcome
	state   probes.State
	reason  string
	err     error
}

func (e *connectError) Error() string { return "connect: " + bare(e.err).Error() }

func (e *connectError) Unwrap() error { return e.err }

// errSelf is the connect of a port to itself: without a listener a client on
// the same machine may pick the very port that it dials, and TCP's
// simultaneous open then connects it with itself (RFC 9293 section 3.5).
var errSelf = errors.New("connected to our own socket")

// dial opens one connection after the pace allows it.
func (v *visit) dial(ctx context.Context) (*line, *connectError) {
	addr := v.addr()
	if err := v.p.pace(ctx, addr); err != nil {
		return nil, notTried(err)
	}
	dctx, cancel := context.WithTimeout(ctx, v.budget.max.ConnectTimeout)
	defer cancel()
	start := time.Now()
	v.budget.connections++
	conn, err := v.p.dialer.DialContext(dctx, string(v.ep.Transport), addr.String())
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, notTried(ctx.Err())
	case err != nil:
		return nil, classify(err)
	}
	if v.ep.Transport == probes.TCP && conn.LocalAddr().String() == conn.RemoteAddr().String() {
		conn.Close()
		return nil, classify(errSelf)
	}
	now := time.Now()
	l := newLine(ctx, conn, now)
	l.rtt = now.Sub(start)
	l.answer = v.newAnswer(nil)
	v.seen(now)
	return l, nil
}

func (v *visit) addr() netip.AddrPort { return netip.AddrPortFrom(v.ep.Addr, v.ep.Port) }

// classify says what a failed connect, or an error of a UDP socket, tells of
// the endpoint. The reasons are in nmap's words where it has one. What only
// speaks about this machine or this moment, such as a lack of descriptors, is
// inconclusive.
func classify(err error) *connectError {
	e := &connectError{err: err}
	timedOut := errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, errSelf):
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

// notTried is a connect that says nothing about the endpoint.
func notTried(err error) *connectError {
	return &connectError{outcome: probes.OutcomeInconclusive, reason: "not tried", err: err}
}

// bare takes the addresses off an error: the endpoint is known, and our own
// port is noise.
func bare(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}
