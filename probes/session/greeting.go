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
// NULL probe's full time if whatever comes next punishes early talk or nothing
// comes next (part 2, row 5).
//
// It returns the connection when the next probe is to be sent on it, because
// the peer has greeted and waits for more (part 1, F.1). A connection that is
// silent stays open as v.null, or becomes a tunnel where the port is one of
// TLS.
func (v *visit) greeting(ctx context.Context, l *line) (reuse *line, over bool) {
	next := v.next()
	full := v.until(l.opened, v.nullWait())
	patience := full
	if next != nil && !next.WaitNull || v.isTLSPort() {
		patience = earlier(l.opened.Add(v.grace(l)), full)
	}
	v.listen(ctx, l, patience)
	switch {
	case l.answer.heard():
		if over = v.judge(ctx, v.p.db.Null(), l); over || !l.open() {
			l.close()
			return nil, over
		}
		return l, false
	case !l.open():
		l.close()
		v.closing(l)
		quick := time.Since(l.opened) < v.wrappedWithin()
		return nil, v.shut || quick && v.tunnel == probes.NoTunnel
	case v.tunnel == probes.NoTunnel && v.isTLSPort():
		return nil, v.tryTLS(ctx, l)
	}
	v.null = l
	return nil, false
}

// grace is how long the peer has the first word: three round trips let a
// greeting cross that is sent when the connection is accepted, and a lost
// packet of it be told from none.
func (v *visit) grace(l *line) time.Duration {
	return min(max(3*l.rtt, v.budget.max.NullGrace), max(maxNullGrace, v.budget.max.NullGrace))
}
