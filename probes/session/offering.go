package session

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"time"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// An offering is how far a visit has come with the ways to offer TLS (part 2,
// row 7), each of which takes a connection of its own. Once one has led into a
// tunnel, no other is made.
type offering struct {
	offers []tlsprobe.Offer // best first
	at     int              // the one to make, or the one that was let in
	tries  []tlsprobe.Try   // that failed, in order
	facts  probes.TLSFacts  // what these showed together
	sure   bool             // a match or an earlier visit says that TLS is spoken
	known  bool             // at is what an earlier visit was let in by

	// shut is what a server showed before that let nobody in; at showed the most
	// of it. It stays so until the server answers that offer in another way.
	shut *probes.TLSFacts
}

// newOffering begins with the first offer.
func (v *visit) newOffering(sure bool) *offering {
	return &offering{offers: tlsprobe.Offers(v.ep.Names), sure: sure}
}

// recallTLS begins with the offer by which an earlier visit was let in, or which
// showed most of a server that lets nobody in. Once a day such a server gets all
// offers again, as the one that showed most may be met in the same way still
// when another would be let in.
func (v *visit) recallTLS() {
	v.tunnel = probes.TLS
	o := v.newOffering(true)
	o.shut = v.shutBefore()
	at := v.known.Offer
	if at > 0 && at < len(o.offers) && (o.offers[at].Hello == nil || o.shut != nil) {
		o.at, o.known = at, true
	}
	v.offering = o
}

// shutBefore is what a server showed in an earlier visit that let nobody in, as
// long as that need not be looked at anew.
func (v *visit) shutBefore() *probes.TLSFacts {
	if v.known.Extras {
		return nil
	}
	return v.known.Shut
}

// takeUp goes on after a match that named TLS: behind the offers that were made
// already, if what they met can be mended, and else from the beginning. It
// reports false when as many as are allowed were made in vain.
func (v *visit) takeUp() bool {
	if o := v.offering; o != nil {
		if next, ok := tlsprobe.Next(o.offers, o.tries, true); ok {
			o.at, o.sure = next, true
			return true
		}
		if o.spent() {
			return false
		}
	}
	v.offering = v.newOffering(true)
	return true
}

// spent reports whether as many offers failed as are made at most.
func (o *offering) spent() bool { return len(o.tries) >= tlsprobe.MaxOffers }

// spoke reports whether a failed offer was answered in TLS.
func (o *offering) spoke() bool { return slices.ContainsFunc(o.tries, spokeTLS) }

func spokeTLS(t tlsprobe.Try) bool { return t.SpokeTLS || t.Facts.Certificate != nil }

// fail takes in that the offer was made in vain, and gives the one to make
// next, if there is any. Where the one that an earlier visit was let in by fails
// without costing the time, the server has changed, and all count.
func (o *offering) fail(t tlsprobe.Try) (next int, ok bool) {
	if o.shut != nil && asBefore(o.shut, &t) {
		o.facts, o.tries = *o.shut, append(o.tries, t)
		o.facts.Remembered = true
		return 0, false
	}
	o.shut = nil
	if o.known && t.Facts.Alert != timedOut {
		*o = offering{offers: o.offers, sure: true}
		return 0, true
	}
	if len(o.tries) == 0 {
		o.facts = t.Facts
	} else {
		o.facts = tlsprobe.Join(o.facts, t.Facts)
	}
	o.tries = append(o.tries, t)
	return tlsprobe.Next(o.offers, o.tries, o.sure)
}

// asBefore reports whether an offer that failed shows what is known of a server
// that lets nobody in: the same choice and the same certificate, or the same
// alert where there is neither.
func asBefore(known *probes.TLSFacts, t *tlsprobe.Try) bool {
	f := &t.Facts
	switch {
	case !spokeTLS(*t), f.Version != known.Version, f.Cipher != known.Cipher,
		f.ClientCert != known.ClientCert, hashOf(f) != hashOf(known):
		return false
	case f.Version == "" && f.Certificate == nil:
		return f.Alert == known.Alert
	}
	return true
}

func hashOf(f *probes.TLSFacts) string {
	if f.Certificate == nil {
		return ""
	}
	return f.Certificate.SHA256
}

// most is the offer that showed most of a server that let nobody in: a
// certificate, a choice, or at least that TLS is spoken.
func (o *offering) most() int {
	at, best := 0, 0
	for _, t := range o.tries {
		worth := 0
		switch {
		case t.Facts.Certificate != nil:
			worth = 3
		case t.Facts.Version != "":
			worth = 2
		case spokeTLS(t):
			worth = 1
		}
		if worth > best {
			at, best = t.Offer, worth
		}
	}
	return at
}

// timedOut is the alert of a handshake that had no end in time.
const timedOut = "timeout"

// shake makes the offer on l, which becomes the inside of a tunnel. If that
// fails l is gone, and again tells whether another offer may do better.
func (m *Machine) shake(l *line, limit time.Duration, then func(again bool, err error)) {
	offer := m.offering.offers[m.offering.at]
	limit = min(limit, m.p.settings.TLSTimeout, m.budget.patience())
	if hello := offer.Hello; hello != nil {
		l.phase, l.until, l.reader = shaking, m.now.Add(limit), tlsprobe.NewReader(*hello)
		m.send(l, SaidHello, tlsprobe.ClientHello(*hello))
	} else {
		m.handshake(l, offer.Config, limit, m.ticketUse())
	}
	l.then = func() {
		l.phase = opening
		switch {
		case !l.gone && l.reader == nil:
			m.letIn(l)
			then(false, nil)
		case l.beside && m.shaken: // others of ours are inside: no conclusion
			m.close(l)
			then(false, cmp.Or(l.err, errUnknown))
		case m.ticketFailed(l):
			m.close(l)
			then(true, l.err)
		default:
			try, err := m.tried(l)
			m.close(l)
			then(m.offerFailed(try, err), cmp.Or(err, errUnknown))
		}
	}
}

// handshake has the outside shake hands on l, and keep the time of it.
func (m *Machine) handshake(l *line, hello tlsprobe.Config, limit time.Duration, ticket TicketUse) {
	l.phase, l.until, l.reader = shaking, time.Time{}, nil
	m.act(Action{Kind: StartTLS, Conn: l.number, What: SaidTLS, Hello: &hello, Timeout: limit,
		MaxBytes: m.budget.room(), Ticket: ticket})
}

// hearServer feeds what came on l to the reader of a hello made by hand.
func (m *Machine) hearServer(l *line, data []byte) {
	data = data[:min(len(data), m.budget.room())]
	m.budget.in += len(data)
	if l.reader.Feed(data) || m.budget.room() == 0 {
		l.ready = true
	}
}

// letIn begins the conversation inside a tunnel.
func (m *Machine) letIn(l *line) {
	m.seen(m.now)
	if l.shook != nil && (len(m.tls) == 0 || m.tls[0].Alert != "" || m.tls[0].Remembered) {
		m.tls = []probes.TLSFacts{l.shook.Facts}
	}
	m.shut, m.notTLS, m.stalled, m.shaken = false, false, false, true
	l.resumed = l.shown().Remembered
	l.opened, l.answer = m.now, m.newAnswer(nil)
}

// tried says how the offer on l failed, and by which error it ended, if any.
func (m *Machine) tried(l *line) (tlsprobe.Try, error) {
	at, err := m.offering.at, l.err
	if l.reader != nil {
		switch {
		case l.gone:
		case m.budget.room() == 0:
			err = ErrHandshakeBytes
		default: // does not count where the reading is over
			err = os.ErrDeadlineExceeded
		}
		return l.reader.Result(err).Try(at), err
	}
	return tryOf(at, l.shown(), err), err
}

// shown is what a handshake of the outside showed.
func (l *line) shown() (facts probes.TLSFacts) {
	if l.shook != nil {
		facts = l.shook.Facts
	}
	return facts
}

// tryOf is a handshake of the outside that failed.
func tryOf(at int, facts probes.TLSFacts, err error) tlsprobe.Try {
	failed, ok := errors.AsType[*tlsprobe.HandshakeError](err)
	if !ok {
		failed = new(tlsprobe.HandshakeError)
	}
	return failed.Try(at, facts)
}

// offerFailed keeps what a failed offer showed, and reports whether another one
// is to be made. If not, shut or notTLS says what that means.
func (v *visit) offerFailed(try tlsprobe.Try, err error) (again bool) {
	spoke, alert := spokeTLS(try), try.Facts.Alert
	if spoke {
		v.seen(v.now)
	} else {
		v.note("TLS handshake: %s", alert)
	}
	v.stalled = spoke && (alert == timedOut || errors.Is(err, ErrHandshakeBytes))
	v.lingered = v.lingered || try.Silent && alert == timedOut
	if v.shaken {
		return false
	}
	o := v.offering
	next, ok := o.fail(try)
	if o.spoke() {
		v.tls = []probes.TLSFacts{o.facts}
	}
	if ok {
		why := v.budget.noHandshake()
		if why == "" {
			o.at = next
			return true
		}
		v.note("%s: not tried: a hello of %s", why, tlsprobe.VersionName(o.offers[next].Version()))
	}
	v.shut = o.spoke()
	v.notTLS = !v.shut
	v.answersHello = v.notTLS && !try.Silent
	return false
}

// helloSize is the longest hello, with a name of 253 bytes.
const helloSize = 700

// noHandshake names the budget that forbids one more hello, or is "". A hello
// is no probe.
func (b *budget) noHandshake() string {
	others := *b
	others.probes = 0
	return others.spent(helloSize)
}

// shakenOut reports whether the time of a handshake that is read by hand is
// over. That of others the outside keeps.
func (m *Machine) shakenOut(l *line) bool {
	return l.phase == shaking && !l.until.IsZero() && !m.now.Before(l.until)
}
