package session

import (
	"context"
	"time"

	"sonde/probes"
)

// firstBackoff is how long the first datagram may take before it is sent
// again; each further wait is twice as long. With two retries they go out at
// 0, 1 and 3 s of the usual 5.
const firstBackoff = time.Second

// udp visits a UDP endpoint.
//
// The sockets are connected ones: that is the portable way to learn of an ICMP
// error, and the kernel drops what other hosts send. It costs the answers that
// come from another port of the peer (TFTP).
func (v *visit) udp(ctx context.Context) {
	if pr := v.remembered(); pr != nil {
		if v.askUDP(ctx, pr) || v.sameSoft() {
			return
		}
		if v.heard { // otherwise the ladder need not ask it again
			v.forget()
		}
	}
	for ctx.Err() == nil {
		pr := v.next()
		if pr == nil {
			return
		}
		if why := v.budget.spent(len(pr.Payload)); why != "" {
			v.notTried(why)
			return
		}
		if v.askUDP(ctx, pr) {
			return
		}
	}
}

// askUDP sends one probe, again where nothing comes (part 2, row 6), and
// judges the first datagram that comes back.
func (v *visit) askUDP(ctx context.Context, pr *probes.Probe) (over bool) {
	v.asked[pr] = true
	l, failed := v.dial(ctx)
	if failed != nil {
		v.fail(failed)
		return true
	}
	defer l.close()
	v.sent(pr)
	l.answer.ends = datagramEnd
	until := v.until(time.Now(), pr.TotalWait)
	for try := 0; !l.answer.final() && ctx.Err() == nil && time.Now().Before(until); try++ {
		if try > 0 && v.p.pace(ctx, v.addr()) != nil {
			break
		}
		if err := l.say(ctx, &v.budget, pr.Payload, until); err != nil {
			l.err = err
			l.answer.finish(closed)
			break
		}
		patience := until
		if try < v.budget.max.UDPRetries {
			patience = earlier(time.Now().Add(firstBackoff<<try), until)
		}
		l.hear(ctx, &v.budget, patience, until)
		if v.budget.room() <= len(pr.Payload) {
			break
		}
	}
	switch {
	case l.empty: // nothing to match, yet somebody is there
		v.heard = true
		v.keep(finding{probe: pr, end: proven, strength: probes.Unmatched})
		v.seen(time.Now())
		return false
	case !l.open() && !l.answer.heard() && ctx.Err() == nil:
		v.fail(ofDatagram(classify(l.err)))
		return true
	}
	return v.judge(ctx, pr, l)
}

// ofDatagram names what refuses a datagram: no RST, but an ICMP message.
func ofDatagram(e *connectError) *connectError {
	if e.outcome == probes.OutcomeRefused && e.reason == "conn-refused" {
		e.reason = "port-unreach"
	}
	return e
}

// datagramEnd: a datagram is a whole answer.
func datagramEnd(b []byte) (n, need int) { return len(b), 0 }
