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
			v.lastWords(ctx)
			return
		}
		if why := v.budget.spent(len(pr.Payload)); why != "" {
			v.notTried(why)
			v.lastWords(ctx)
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
			v.listen(ctx, l, v.until(l.opened, v.nullWait()))
		}
	}
	defer l.close()
	if !l.open() {
		return v.judge(ctx, pr, l)
	}
	v.sent(pr)
	sent := time.Now()
	until := v.until(sent, pr.TotalWait)
	l.answer.more(httpEnd)
	if err := l.say(ctx, &v.budget, pr.Payload, until); err != nil {
		v.note("probe %s: send: %v", pr.Name, bare(err))
	}
	if v.null != nil {
		l.hear(ctx, &v.budget, earlier(sent.Add(nullShare), until), until)
		if v.lastWords(ctx) {
			return true
		}
	}
	l.hear(ctx, &v.budget, until, until)
	return v.judge(ctx, pr, l)
}

// listen waits for a greeting before anything is said.
func (v *visit) listen(ctx context.Context, l *line, patience time.Time) {
	l.answer.ends = greetingEnd
	l.hear(ctx, &v.budget, patience, v.until(l.opened, v.nullWait()))
}

// lastWords looks once more at a NULL connection that stayed open beside a
// probe, and gives it up. The greeting comes first in order: where it has
// begun it is heard to its end, and a hard match of it wins (part 2, rows 4
// and 5). Without a byte it is superseded: a late greeting will be met on the
// probes' own connections, where the NULL rules are searched last.
func (v *visit) lastWords(ctx context.Context) (over bool) {
	l := v.null
	if l == nil {
		return false
	}
	v.null = nil
	defer l.close()
	now := time.Now()
	l.hear(ctx, &v.budget, now.Add(glance), v.until(now, v.nullWait()))
	return v.judge(ctx, v.p.db.Null(), l)
}

// recall sends the remembered probe alone (part 2, row 15). The visit is over
// when its answer identifies the endpoint again, or when there is nobody to
// ask.
func (v *visit) recall(ctx context.Context) (over bool) {
	pr := v.remembered()
	if v.known.Tunnel == probes.TLS {
		v.tunnel = probes.TLS
	}
	if pr == nil && v.tunnel == probes.NoTunnel {
		return false
	}
	l, ok := v.connect(ctx)
	switch {
	case !ok && v.notTLS: // no tunnel any more: a service to learn anew
		v.notTLS, v.tls = false, nil
		return false
	case !ok:
		return true
	case pr == nil:
		v.climb(ctx, l)
		return true
	case pr.IsNull():
		defer l.close()
		v.listen(ctx, l, v.until(l.opened, v.nullWait()))
		over = v.judge(ctx, pr, l)
	default:
		if pr.WaitNull {
			v.listen(ctx, l, v.until(l.opened, v.nullWait()))
		}
		over = v.ask(ctx, pr, l)
	}
	if over || v.sameSoft() {
		return true
	}
	v.forget()
	return false
}

// remembered is the probe that identified the endpoint before, if there is
// one and it may be sent.
func (v *visit) remembered() *probes.Probe {
	pr := v.p.db.Lookup(v.ep.Transport, v.known.Probe)
	if pr == nil || !pr.Needs.Within(v.budget.max.Allow.Needs()) {
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
	v.undecided = false
	clear(v.asked)
}

// closing tells how a connection without an answer ended.
func (v *visit) closing(l *line) {
	switch {
	case l.open():
		v.lingered = true
	case tlsprobe.Alert(l.err) != "":
		v.turnedAway(tlsprobe.Alert(l.err))
	case l.err != nil && !errors.Is(l.err, io.EOF):
		v.note("closed: %v", bare(l.err))
	}
}
