package session

import (
	"bytes"
	"cmp"
	"os"
	"time"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// dtlsWait bounds each wait for a DTLS server behind its first datagram. It
// sends a flight again after 1 s, and after 2 s more (RFC 6347 section
// 4.2.4.1): one lost datagram of it is made good.
const dtlsWait = 3500 * time.Millisecond

// A dtlsReading is what a DTLS server says in clear behind the datagram that
// identified it (part 2, row 17). It costs no probe.
type dtlsReading struct {
	reader tlsprobe.DTLSReader
	line   *line
	hello  []byte // ours
	echoed bool   // with the cookie
	over   bool   // the reader knows all that there is to know
	then   func()
}

// readDTLS reads on after the datagram that a lane ended with, if that is of
// DTLS. The lane is judged already: what else is said only adds facts.
func (m *Machine) readDTLS(ln *lane, then func()) {
	r := &dtlsReading{line: ln.line, hello: m.p.payload(ln.probe, m.ep), then: then}
	answer := ln.line.answer.buf
	_, err := tlsprobe.DTLSEcho(r.hello, nil)
	greeted := err == nil
	mirrored := bytes.Equal(answer, r.hello) // by an echo, which is no server
	if mirrored || !greeted && ln.found.id.Service != "dtls" {
		then()
		return
	}
	r.over = r.reader.Feed(answer)
	if !r.reader.Result(nil).SpokeTLS {
		then()
		return
	}
	open := !ln.line.gone && m.lineOf(ln.line.number) == ln.line
	if r.over || !greeted || !open || m.budget.noHandshake() != "" {
		m.tls = []probes.TLSFacts{r.reader.Result(os.ErrDeadlineExceeded).Facts}
		then()
		return
	}
	m.udp.dtls = r
	m.awaitDTLS()
}

// awaitDTLS waits for the rest of a server's flight, once its cookie was sent
// back where it wants that.
func (m *Machine) awaitDTLS() {
	r := m.udp.dtls
	l := r.line
	if r.over || l.gone {
		m.endDTLS()
		return
	}
	if cookie := r.reader.Cookie(); cookie != nil && !r.echoed {
		r.echoed = true
		if echo, err := tlsprobe.DTLSEcho(r.hello, cookie); err == nil {
			l.phase, l.then = sending, m.awaitDTLS
			m.send(l, SaidDTLS, echo)
			return
		}
	}
	l.phase, l.until = shaking, m.until(min(dtlsWait, m.p.settings.TLSTimeout))
	l.then = m.endDTLS
}

// hearDTLS takes the next datagram of a server.
func (m *Machine) hearDTLS(data []byte) {
	r := m.udp.dtls
	r.over = r.reader.Feed(data)
	m.seen(m.now)
	switch {
	case r.line.phase == sending: // awaitDTLS looks when the echo is handed over
	case r.over, m.budget.room() == 0:
		r.line.ready = true
	case r.reader.Cookie() != nil && !r.echoed:
		r.line.then, r.line.ready = m.awaitDTLS, true
	}
}

// endDTLS keeps what was read. A server that is left in the middle is told so:
// else it sends its flight again and again.
func (m *Machine) endDTLS() {
	r := m.udp.dtls
	m.udp.dtls = nil
	l := r.line
	end := r.reader.Result(cmp.Or(l.err, os.ErrDeadlineExceeded))
	m.tls = []probes.TLSFacts{end.Facts}
	if l.gone || r.over && !end.Whole {
		l.phase = opening
		r.then()
		return
	}
	l.phase, l.then = sending, r.then
	m.send(l, SaidGoodbye, tlsprobe.DTLSGoodbye())
}
