package session

import (
	"context"
	"errors"
	"io"
	"time"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// tcp visits a TCP endpoint.
func (v *visit) tcp(ctx context.Context) {
	if v.recall(ctx) {
		return
	}
	v.climb(ctx, nil)
}

// connect opens a connection, and the tunnel inside it if there is one. If
// that fails the visit is over.
func (v *visit) connect(ctx context.Context) (*line, bool) {
	if v.tunnel == probes.TLS {
		return v.connectTLS(ctx)
	}
	l, failed := v.dial(ctx)
	if failed != nil {
		v.fail(failed)
		return nil, false
	}
	v.accepted = true
	return l, true
}

// climb goes up the ladder: the NULL probe, those that list the port, the
// others (part 1, E.3). An open tunnel in which nothing was said yet may be
// handed in as the first connection.
func (v *visit) climb(ctx context.Context, l *line) {
	if l == nil {
		var ok bool
		if l, ok = v.connect(ctx); !ok {
			return
		}
	}
	reuse, over := v.greeting(ctx, l)
	defer func() {
		for _, l := range []*line{reuse, v.null} {
			if l != nil {
				l.close()
			}
		}
		v.null = nil
	}()
	for !over && ctx.Err() == nil {
		pr := v.next()
		if pr == nil {
			v.lastWords(ctx, nil)
			return
		}
		if why := v.budget.spent(len(pr.Payload)); why != "" {
			v.notTried(why)
			v.lastWords(ctx, nil)
			return
		}
		over = v.ask(ctx, pr, reuse)
		reuse = nil
	}
}

// ask sends one probe, on the connection of the greeting if that is handed in
// and on its own otherwise, and judges the answer.
func (v *visit) ask(ctx context.Context, pr *probes.Probe, l *line) (over bool) {
	v.asked[pr] = true
	if l == nil && pr.WaitNull && v.null != nil {
		l, v.null = v.null, nil // its full time is over, see greeting
	}
	if l == nil {
		var ok bool
		if l, ok = v.connect(ctx); !ok {
			return true
		}
		if pr.WaitNull {
			v.listen(ctx, l, l.opened.Add(v.nullWait()))
		}
	}
	defer func() { l.close() }()
	if !l.open() {
		return v.judge(ctx, pr, l)
	}
	until := v.send(ctx, pr, l)
	if v.null != nil {
		l.hear(ctx, &v.budget, earlier(time.Now().Add(nullShare), until), until)
		spare, over := v.lastWords(ctx, l)
		if over {
			return true
		}
		if spare != nil {
			l.close()
			l = spare
			until = v.send(ctx, pr, l)
		}
	}
	l.hear(ctx, &v.budget, until, until)
	v.hearOn(ctx, l, until)
	return v.judge(ctx, pr, l)
}

// send puts a probe on l and gives the end of its wait.
func (v *visit) send(ctx context.Context, pr *probes.Probe, l *line) (until time.Time) {
	v.sent(pr)
	until = v.until(time.Now(), pr.TotalWait)
	l.answer.more(httpEnd)
	if err := l.say(ctx, &v.budget, pr.Payload, until); err != nil {
		v.note("probe %s: send: %v", pr.Name, bare(err))
	}
	return until
}

// hearOn waits for the answer behind a greeting. A probe that is sent as soon
// as its connection is open, as on a revisit, gets the greeting of the peer
// first, and a rule may hit that alone. Where it is a greeting that no NULL
// rule knows, the first visit has gone on to the answer, so this one must too.
func (v *visit) hearOn(ctx context.Context, l *line, until time.Time) {
	a := &l.answer
	if a.from > 0 || a.end != settled || !isGreeting(a.buf) || v.hits(v.p.db.Null(), l) {
		return
	}
	a.more(nil)
	l.hear(ctx, &v.budget, until, until)
	how := settled
	if ctx.Err() != nil {
		how = cutShort
	}
	a.rejoin(how)
}

// lastWords looks once more at a NULL connection that stayed open beside the
// probe on l, and gives it up. The greeting comes first in order: where it has
// begun it is heard to its end, and a hard match of it wins (part 2, rows 4
// and 5). Without a byte it is superseded: a late greeting will be met on the
// probes' own connections, where the NULL rules are searched last.
//
// If l was closed without a byte, the peer may serve one client only and have
// its place taken by the silent connection, which is then handed back to ask
// there (part 1, F.1).
func (v *visit) lastWords(ctx context.Context, l *line) (spare *line, over bool) {
	null := v.null
	if null == nil {
		return nil, false
	}
	v.null = nil
	v.listen(ctx, null, time.Now().Add(glance))
	if l != nil && !l.open() && !l.answer.heard() && !null.answer.heard() && null.open() {
		v.closing(l)
		if v.shut || v.budget.spent(0) != "" {
			null.close()
			return nil, v.shut
		}
		return null, false
	}
	defer null.close()
	if null.answer.heard() && l != nil && v.hits(v.p.db.Null(), null) {
		l.close() // what the match leads to may need the place
	}
	return nil, v.judge(ctx, v.p.db.Null(), null)
}

// recall sends the remembered probe alone (part 2, row 15). The visit is over
// when its answer identifies the endpoint again, or when there is nobody to
// ask. A remembered greeting is what the ladder begins with anyway.
func (v *visit) recall(ctx context.Context) (over bool) {
	pr := v.remembered()
	if pr == nil && (v.known.Tunnel != probes.TLS || v.industrial) {
		return false
	}
	if v.known.Tunnel == probes.TLS {
		v.tunnel = probes.TLS
	}
	l, ok := v.connect(ctx)
	switch {
	case !ok && v.notTLS: // no tunnel any more: a service to learn anew
		v.notTLS, v.tls = false, nil
		return false
	case !ok:
		v.recallOutside(ctx, pr)
		return true
	case pr == nil, pr.IsNull():
		v.greeted = pr != nil
		v.climb(ctx, l)
		return true
	case pr.WaitNull:
		v.listen(ctx, l, l.opened.Add(v.nullWait()))
	}
	if v.ask(ctx, pr, l) || v.sameSoft() {
		return true
	}
	v.forget()
	return false
}

// recallOutside asks in clear where TLS is spoken but we are not let in, unless
// the port is one of TLS, where nothing is ever asked in clear: the endpoint may
// be known by an answer that named the service behind the tunnel.
func (v *visit) recallOutside(ctx context.Context, pr *probes.Probe) {
	if !v.shut || pr == nil || v.isTLSPort() {
		return
	}
	v.tunnel = probes.NoTunnel
	v.ask(ctx, pr, nil)
	v.tunnel = probes.TLS
	if v.best.strength != probes.Hard {
		v.forget()
	}
}

// remembered is the probe that identified the endpoint before, if there is
// one and it may be sent.
func (v *visit) remembered() *probes.Probe {
	pr := v.p.db.Lookup(v.ep.Transport, v.known.Probe)
	switch {
	case pr == nil, !pr.Needs.Within(v.budget.max.Allow.Needs()):
		return nil
	case v.industrial && pr.Needs&probes.NeedIndustrial == 0:
		return nil
	}
	return pr
}

// sameSoft reports whether a soft match says what one said before.
func (v *visit) sameSoft() bool {
	return v.best.strength == probes.Soft && v.best.id.Service == v.known.Soft
}

// forget starts over: what was found counts for nothing, what it cost does.
func (v *visit) forget() {
	v.best = finding{}
	v.undecided, v.cut = false, false
	clear(v.asked)
}

// closing tells how a connection without an answer ended.
func (v *visit) closing(l *line) {
	switch {
	case l.open():
		v.lingered = true
	case tlsprobe.Alert(l.err) != "":
		v.alerted(l, tlsprobe.Alert(l.err))
	case l.err != nil && !errors.Is(l.err, io.EOF):
		v.note("closed: %v", bare(l.err))
	}
}
