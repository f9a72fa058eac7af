package session

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"sonde/probes"
)

// firstBackoff is how long the first datagram may take before it is sent
// again; each further wait is twice as long. With two retries they go out at
// 0, 1 and 3 s of the usual 5.
const firstBackoff = time.Second

// datagrams is the state of a UDP visit. All probes are sent from one socket,
// so that an answer that comes late still arrives; but those that must come
// from a port of their own.
type datagrams struct {
	socket *line           // once there is one
	probe  *probes.Probe   // under way
	line   *line           // that it is sent on
	tries  int             // how often it was sent
	heldAt time.Time       // when the latest datagram was handed over
	until  time.Time       // end of the wait for the probe; zero: not begun
	err    error           // an ICMP error came
	later  []*probes.Probe // asked before; an answer of theirs may still come
	done   func(over bool)
	dtls   *dtlsReading // what speaks DTLS is read further; nil: nothing is
}

// visitUDP visits a UDP endpoint.
func (m *Machine) visitUDP() {
	if m.heardBefore() {
		m.finish()
		return
	}
	pr := m.remembered()
	if pr == nil {
		m.nextUDP()
		return
	}
	m.askUDP(pr, func(over bool) {
		if over || m.sameSoft() {
			m.finish()
			return
		}
		if m.heard { // otherwise the ladder need not ask it again
			m.forget()
		}
		m.nextUDP()
	})
}

// heardBefore judges what discovery drew, and says whether that is the identity.
// What is not settled by it, or is DTLS, whose server has more to say, is asked
// as if nothing had been heard.
func (m *Machine) heardBefore() bool {
	h := m.known.Heard
	if h == nil || m.industrial {
		return false
	}
	for _, pr := range m.p.db.UDPPayloads(m.ep.Port, m.p.settings.Allow.Needs()) {
		if !bytes.Equal(pr.Payload, h.Sent) {
			continue
		}
		f, _ := find(pr, m.scratch, h.Answer)
		if f.strength != probes.Hard || f.blocked() || f.id.Service == "dtls" || strings.HasPrefix(f.id.Service, "ssl/") {
			return false
		}
		l := &line{answer: m.newAnswer(datagramEnd)}
		l.answer.add(h.At, h.Answer)
		l.answer.finish(full)
		ln := &lane{probe: pr, line: l}
		m.asked, m.names = append(m.asked, pr), append(m.names, pr.Name)
		m.look(ln)
		return m.judge(ln)
	}
	return false
}

// nextUDP asks one probe after the other.
func (m *Machine) nextUDP() {
	pr := m.next()
	if pr == nil {
		m.finish()
		return
	}
	if why := m.budget.spent(len(pr.Payload)); why != "" {
		m.notTried(why)
		m.finish()
		return
	}
	m.askUDP(pr, func(over bool) {
		if over {
			m.finish()
			return
		}
		m.nextUDP()
	})
}

// askUDP sends one probe, again where nothing comes (part 2, row 6), and
// judges the first datagram that comes back.
func (m *Machine) askUDP(pr *probes.Probe, done func(over bool)) {
	m.asked = append(m.asked, pr)
	d := &m.udp
	d.probe, d.tries, d.until, d.err, d.done = pr, 0, time.Time{}, nil, done
	if pr.SourcePort == 0 && d.socket != nil && !d.socket.gone {
		d.line = d.socket
		m.firstDatagram()
		return
	}
	m.dial(nil, pr.SourcePort, func(l *line, failed *connectError) {
		if failed != nil {
			m.fail(failed)
			done(true)
			return
		}
		if d.line = l; pr.SourcePort == 0 {
			d.socket = l
		}
		m.firstDatagram()
	})
}

func (m *Machine) firstDatagram() {
	m.udp.line.answer = m.newAnswer(datagramEnd)
	m.sent(m.udp.probe)
	m.sendDatagram()
}

// sendDatagram sends the probe once more. Nothing is waited for before it has
// gone out.
func (m *Machine) sendDatagram() {
	d := &m.udp
	d.tries++
	d.heldAt = m.now
	d.line.phase = sending
	d.line.then = m.datagramSent
	m.send(d.line, d.probe.Name, m.p.payload(d.probe, m.ep))
}

// handedOver says that the oldest datagram has gone out.
func (m *Machine) handedOver(l *line) {
	if l.phase == sending {
		l.ready = true
	}
}

// datagramSent waits for the answer.
func (m *Machine) datagramSent() {
	d := &m.udp
	switch {
	case d.line.gone:
		d.err = d.line.err
		m.endUDP()
		return
	case d.until.IsZero():
		d.until = m.until(d.probe.TotalWait)
	default: // the rates held it back, which is nobody's silence
		d.until = d.until.Add(m.now.Sub(d.heldAt))
	}
	patience := d.until
	if d.tries <= m.p.settings.UDPRetries {
		patience = earlier(m.now.Add(firstBackoff<<(d.tries-1)), d.until)
	}
	if d.err != nil {
		patience = m.now.Add(glance)
	}
	m.listen(d.line, patience, d.until, m.afterDatagram)
}

// afterDatagram tries again, or draws the conclusion.
func (m *Machine) afterDatagram() {
	d := &m.udp
	if d.line.gone {
		d.err = d.line.err
	}
	again := !d.line.answer.final() && !d.line.empty && d.err == nil && m.now.Before(d.until) &&
		d.tries <= m.p.settings.UDPRetries && m.budget.room() > len(d.probe.Payload)
	if again {
		m.sendDatagram()
		return
	}
	m.endUDP()
}

// endUDP judges what has come for a probe.
func (m *Machine) endUDP() {
	d := &m.udp
	l, pr := d.line, d.probe
	d.line = nil
	if pr.SourcePort != 0 {
		m.close(l)
	} else {
		d.later = append(d.later, pr)
	}
	switch {
	case l.empty: // nothing to match, yet somebody is there
		l.empty = false
		m.heard = true
		m.keep(finding{probe: pr, end: proven, strength: probes.Unmatched})
		m.seen(m.now)
		d.done(false)
	case d.err != nil && !l.answer.heard():
		m.fail(ofDatagram(classify(d.err)))
		d.done(true)
	default:
		ln := &lane{probe: m.senderOf(pr, l.answer.buf), line: l}
		m.look(ln)
		over := m.judge(ln)
		m.readDTLS(ln, func() { d.done(over) })
	}
}

// senderOf is the probe that an answer is to: the one under way, if a line of
// it hits, or else an earlier one whose answer comes late, the latest first.
func (m *Machine) senderOf(pr *probes.Probe, answer []byte) *probes.Probe {
	if len(m.udp.later) == 0 || len(answer) == 0 {
		return pr
	}
	if f, _ := find(pr, m.scratch, answer); f.rule != nil {
		return pr
	}
	for _, earlier := range slices.Backward(m.udp.later) {
		if f, _ := find(earlier, m.scratch, answer); f.rule != nil {
			return earlier
		}
	}
	return pr
}

// datagram takes in what came on a socket.
func (m *Machine) datagram(l *line, e Event) {
	if !m.fromPeer(e.From) {
		return
	}
	if e.From.IsValid() && e.From.Port() != m.ep.Port && !m.elsewhere {
		m.elsewhere = true
		m.note("answered from port %d", e.From.Port())
	}
	m.budget.in += min(len(e.Data), m.budget.room())
	d := &m.udp
	if d.dtls != nil && d.dtls.line == l {
		m.hearDTLS(e.Data)
		return
	}
	if d.line == nil || l.answer.final() {
		return
	}
	if pr := m.senderOf(d.probe, e.Data); pr != d.probe && !m.settles(pr, e.Data) {
		m.lateSoft(pr, e.Data)
		return
	}
	if d.line.phase == sending { // its answer was faster than the news of it
		d.line.ready = true
	}
	if len(e.Data) == 0 {
		d.line.empty = true
		d.line.answer.finish(proven)
		return
	}
	d.line.answer.add(m.now, e.Data)
	d.line.answer.finish(full)
}

// settles reports whether an answer is a hard match of a probe.
func (m *Machine) settles(pr *probes.Probe, answer []byte) bool {
	f, _ := find(pr, m.scratch, answer)
	return f.strength == probes.Hard
}

// lateSoft keeps a soft match of an earlier probe, while the one under way is
// still waited for.
func (m *Machine) lateSoft(pr *probes.Probe, answer []byte) {
	f, _ := find(pr, m.scratch, bytes.Clone(answer))
	f.end = proven
	m.heard = true
	m.seen(m.now)
	m.keep(f)
}

// fromPeer reports whether a packet is about the endpoint's address. The port
// may be another one: some protocols answer from it (TFTP, RFC 1350 section
// 4).
func (m *Machine) fromPeer(from netip.AddrPort) bool {
	return !from.IsValid() || sameForm(from.Addr()) == sameForm(m.ep.Addr)
}

// sameForm makes the forms of one address equal.
func sameForm(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// rejected takes in an ICMP error. The kernel tells of it before it hands out
// the datagrams that came earlier, so those are looked for once more. A
// datagram that was too long for the path is lost, and no more: the next is
// sent in fragments.
func (m *Machine) rejected(l *line, e Event) {
	d := &m.udp
	switch {
	case d.line != l || errors.Is(e.Err, syscall.EMSGSIZE):
	case e.From.IsValid() && (!m.fromPeer(e.From) || e.From.Port() != m.ep.Port):
	default:
		d.err = e.Err
		l.patience = earlier(l.patience, m.now.Add(glance))
		l.ready = l.ready || l.phase == sending
	}
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
