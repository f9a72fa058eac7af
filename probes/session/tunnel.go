package session

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// hellos gives the ways to offer TLS, best first (part 2, row 7): with the
// first name of the target, if it has one, and every version; then, for
// servers that stumble over what they do not know, up to TLS 1.2 and without
// a name.
func hellos(names []string) []tlsprobe.Config {
	name := ""
	for _, n := range names {
		if _, err := netip.ParseAddr(n); err != nil && n != "" && !strings.HasPrefix(n, "*") {
			name = n
			break
		}
	}
	return []tlsprobe.Config{{Name: name}, {MaxVersion: tls.VersionTLS12}}
}

// enter starts the visit again inside a tunnel, after a match that named one
// (part 1, G.1). What was found outside counts no more, but for found, the
// match of a service behind TLS: it stays if the tunnel shows nothing better.
//
// The reference ends at "ssl/x" without a look inside (G.2). Then a revisit,
// which starts inside, would not compare with it.
func (v *visit) enter(ctx context.Context, found finding) {
	v.forget()
	v.tunnel = probes.TLS
	l, ok := v.connectTLS(ctx)
	if ok {
		v.climb(ctx, l)
	}
	v.tunnel = probes.TLS // a failed handshake does not refute the match
	if found.strength == probes.Hard && v.best.strength != probes.Hard {
		v.best = found
		if v.outcome == probes.OutcomeInconclusive {
			v.outcome, v.reason = "", "" // that was of the tunnel
		}
	}
}

// tryTLS offers TLS on a connection that is silent, at a port where the
// database expects it. It reports false when the peer speaks something else,
// and the ladder goes on without a tunnel.
func (v *visit) tryTLS(ctx context.Context, l *line) (over bool) {
	v.tunnel = probes.TLS
	again, err := v.shake(ctx, l, v.hellos[0], tlsTrial)
	switch {
	case err == nil:
		v.hellos = v.hellos[:1]
	case again:
		var ok bool
		hellos := v.hellos
		v.hellos = v.hellos[1:]
		if l, ok = v.connectTLS(ctx); !ok {
			v.hellos = hellos
			return v.tlsFailed()
		}
	default:
		return v.tlsFailed()
	}
	v.climb(ctx, l)
	return true
}

// tlsFailed reports whether a failed handshake ends the visit: it does when
// TLS is spoken, as everything else would only draw alerts, and when the
// connect failed.
func (v *visit) tlsFailed() (over bool) {
	if !v.notTLS {
		return true
	}
	v.tunnel, v.tls = probes.NoTunnel, nil
	return false
}

// connectTLS opens a connection and a tunnel in it. Later ways to offer TLS
// are tried when an earlier one fails in a manner that they may mend. If all
// fail, shut or notTLS says why, or the connect did. After a handshake that
// succeeded it is neither: the peer speaks TLS, but not now.
func (v *visit) connectTLS(ctx context.Context) (*line, bool) {
	for i, hello := range v.hellos {
		l, failed := v.dial(ctx)
		if failed != nil {
			v.fail(failed)
			return nil, false
		}
		v.accepted = true
		again, err := v.shake(ctx, l, hello, v.budget.max.TLSTimeout)
		if err == nil {
			v.hellos = v.hellos[i : i+1]
			return l, true
		}
		if !again {
			break
		}
	}
	switch {
	case v.shaken:
		v.shut, v.notTLS = false, false
		v.giveUp("handshake failed after one that succeeded")
	case v.notTLS:
		v.tunnel = probes.NoTunnel
	}
	return nil, false
}

// shake makes l the inside of a tunnel, or closes it. It reports whether
// another hello may do better.
func (v *visit) shake(ctx context.Context, l *line, hello tlsprobe.Config,
	limit time.Duration) (again bool, err error) {
	start := time.Now()
	defer func() { v.budget.waited += time.Since(start) }()
	hctx, cancel := context.WithTimeout(ctx, min(limit, v.budget.max.TLSTimeout, v.budget.patience()))
	defer cancel()
	l.conn.SetDeadline(time.Time{}) // what listening left; the context bounds it now
	below := &meter{Conn: l.conn, budget: &v.budget}
	tunnel, facts, err := tlsprobe.Handshake(hctx, below, hello)
	below.budget = nil
	if err != nil {
		l.close()
		return v.handshakeFailed(facts, err), err
	}
	now := time.Now()
	v.seen(now)
	v.learn(facts)
	v.shut, v.notTLS, v.stalled, v.shaken = false, false, false, true
	l.conn, l.opened, l.answer = tunnel, now, v.newAnswer(nil)
	return false, nil
}

// handshakeFailed keeps what a failed handshake showed.
func (v *visit) handshakeFailed(facts probes.TLSFacts, err error) (again bool) {
	failed, ok := errors.AsType[*tlsprobe.HandshakeError](err)
	spoke := ok && failed.SpokeTLS || facts.Certificate != nil
	if spoke {
		v.learn(facts)
		v.seen(time.Now())
	} else {
		v.note("TLS handshake: %s", facts.Alert)
	}
	v.stalled = spoke && (facts.Alert == "timeout" || errors.Is(err, errBytes))
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

// errBytes ends a handshake that moves more than the visit may.
var errBytes = errors.New("byte budget spent")

// A meter counts what a handshake moves, as long as it has a budget.
type meter struct {
	net.Conn
	budget *budget
}

func (m *meter) Read(b []byte) (int, error) {
	if m.budget == nil {
		return m.Conn.Read(b)
	}
	if m.budget.room() == 0 {
		return 0, errBytes
	}
	n, err := m.Conn.Read(b[:min(len(b), m.budget.room())])
	m.budget.in += n
	return n, err
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	if m.budget != nil {
		m.budget.out += n
	}
	return n, err
}
