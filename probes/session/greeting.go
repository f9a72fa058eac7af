package session

import (
	"context"
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

// greeting gives the peer the first word on l: for the grace time, or for the
// NULL probe's full time if whatever comes next punishes early talk, nothing
// comes next, or a greeting is what the endpoint is known by (part 2, rows 5
// and 15).
//
// It returns the connection when the next probe is to be sent on it, because
// the peer has greeted and waits for more (part 1, F.1). A connection that is
// silent stays open as v.null, or becomes a tunnel where the port is one of
// TLS.
func (v *visit) greeting(ctx context.Context, l *line) (reuse *line, over bool) {
	patience := l.opened.Add(v.grace(l))
	again := v.greeted
	v.greeted = false
	if next := v.next(); again || (next == nil || next.WaitNull) && !v.mayTryTLS() {
		patience = l.opened.Add(v.nullWait())
	}
	v.listen(ctx, l, patience)
	switch {
	case l.answer.heard():
		over = v.judge(ctx, v.p.db.Null(), l) || again && v.sameSoft()
		if over || !l.open() || l.answer.room() == 0 {
			l.close()
			return nil, over
		}
		return l, false
	case !l.open():
		l.close()
		v.closing(l)
		quick := time.Since(l.opened) < v.wrappedWithin()
		return nil, v.shut || quick && v.tunnel == probes.NoTunnel
	case v.mayTryTLS():
		return nil, v.tryTLS(ctx, l)
	}
	v.null = l
	return nil, false
}

// listen waits for a greeting on l until patience; one that has begun is heard
// to its end. The end that its syntax shows is enough where a rule hits.
// Otherwise more lines may follow, and it is heard until it settles: what is
// sent on the connection next must not depend on how it came in segments.
func (v *visit) listen(ctx context.Context, l *line, patience time.Time) {
	null := v.p.db.Null()
	full := v.until(time.Now(), v.nullWait())
	l.answer.ends = greetingEnd
	l.hear(ctx, &v.budget, earlier(patience, full), full)
	if l.answer.end == proven && !v.hits(null, l) {
		l.answer.reopen()
		full = v.until(time.Now(), v.nullWait())
		l.hear(ctx, &v.budget, full, full)
	}
}

// hits reports whether what came on l is a hard match of pr.
func (v *visit) hits(pr *probes.Probe, l *line) bool {
	f, _ := find(pr, v.scratch, l.answer.buf)
	return f.strength == probes.Hard
}

// mayTryTLS reports whether a silent connection becomes a tunnel.
func (v *visit) mayTryTLS() bool { return v.tunnel == probes.NoTunnel && v.isTLSPort() }

// grace is how long the peer has the first word: three round trips let a
// greeting cross that is sent when the connection is accepted, and a lost
// packet of it be told from none.
func (v *visit) grace(l *line) time.Duration {
	return min(max(3*l.rtt, v.budget.max.NullGrace), max(maxNullGrace, v.budget.max.NullGrace))
}
