package session

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// A sim runs a machine against a scripted peer, without a network, goroutines
// or a clock: time jumps to whatever comes next.
type sim struct {
	t     *testing.T
	m     *Machine
	peer  *peer
	start time.Time
	now   time.Time
	queue []pending
	wake  time.Time
	conns map[int]*simConn
	inn   []*simConn // let in, or waiting for it, in order

	most   int      // connections at once
	sent   []string // in order
	events int
}

// pending is something that will happen at a connection.
type pending struct {
	at time.Time
	c  *simConn
	do func()
}

type simConn struct {
	number int
	closed bool
	served bool // the server has turned to it
	tunnel bool
	mute   bool // in a resumed session
	unread [][]byte
}

func newSim(t *testing.T, m *Machine, p *peer) *sim {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &sim{t: t, m: m, peer: p, start: start, now: start, conns: map[int]*simConn{}}
}

// run runs the visit to its end.
func (s *sim) run() probes.Observation {
	s.doAll(s.m.Start(s.now))
	for !s.m.Done() {
		if s.events++; s.events > 100_000 {
			s.t.Fatal("the visit has no end")
		}
		i := s.soonest()
		if i < 0 || !s.wake.IsZero() && s.wake.Before(s.queue[i].at) {
			if s.wake.IsZero() {
				s.t.Fatal("nothing will happen any more")
			}
			if s.wake.After(s.now) {
				s.now = s.wake
			}
			s.wake = time.Time{}
			s.tell(Event{Kind: Woken})
			continue
		}
		p := s.queue[i]
		s.queue = slices.Delete(s.queue, i, i+1)
		s.now = p.at
		if p.c == nil || !p.c.closed {
			p.do()
		}
	}
	if open := len(s.conns); open > 0 {
		s.t.Errorf("%d connections left open", open)
	}
	return s.m.Observation(s.now)
}

func (s *sim) soonest() int {
	first := -1
	for i, p := range s.queue {
		if first < 0 || p.at.Before(s.queue[first].at) {
			first = i
		}
	}
	return first
}

func (s *sim) after(d time.Duration, c *simConn, do func()) {
	s.queue = append(s.queue, pending{s.now.Add(d), c, do})
}

func (s *sim) tell(e Event) { s.doAll(s.m.Handle(s.now, e)) }

func (s *sim) doAll(actions []Action) {
	for _, a := range slices.Clone(actions) {
		s.do(a)
	}
}

func (s *sim) do(a Action) {
	c := s.conns[a.Conn]
	if c == nil && a.Kind != Open && a.Kind != Wake && a.Kind != Finish {
		s.t.Fatalf("action %d of connection %d, which is not open", a.Kind, a.Conn)
	}
	if says := a.Kind == Send || a.Kind == StartTLS || a.Kind == ReadKey; says != (a.What != "") {
		s.t.Errorf("action %d with %q is called %q", a.Kind, a.Data, a.What)
	}
	//exhaustive:enforce
	switch a.Kind {
	case Open:
		s.open(a)
	case Send:
		s.sent = append(s.sent, string(a.Data))
		data := bytes.Clone(a.Data)
		if s.m.ep.Transport == probes.UDP {
			s.after(0, c, func() {
				s.tell(Event{Kind: Sent, Conn: c.number})
				s.peer.heard(s, c, data)
			})
			return
		}
		c.unread = append(c.unread, data)
		s.after(s.peer.rtt/2, c, func() { s.serve(c) })
	case StartTLS:
		s.after(s.peer.rtt, c, func() { s.shake(c, a) })
	case ReadKey:
		s.after(s.peer.rtt, c, func() { s.showKey(c, a) })
	case Close:
		s.leave(c)
	case Wake:
		s.wake = a.At
	case Finish:
	}
}

func (s *sim) open(a Action) {
	c := &simConn{number: a.Conn}
	s.conns[a.Conn] = c
	if s.m.ep.Transport == probes.UDP {
		s.after(0, c, func() { s.tell(Event{Kind: Opened, Conn: c.number}) })
		return
	}
	s.after(s.peer.rtt, c, func() {
		if err := s.peer.refuses(len(s.inn), c.number); err != nil {
			s.gone(c, err)
			return
		}
		s.tell(Event{Kind: Opened, Conn: c.number, RTT: s.peer.rtt})
		if !c.closed {
			s.inn = append(s.inn, c)
			s.most = max(s.most, len(s.inn))
			s.serve(c)
		}
	})
}

// serve lets the server turn to a connection, as far as its manner allows.
func (s *sim) serve(c *simConn) {
	if c.mute {
		s.play(c, []step{{do: "close"}})
		return
	}
	if s.peer.queues && s.inn[0] != c {
		return
	}
	if !c.served {
		c.served = true
		if s.peer.away != nil && s.inn[0] != c {
			s.play(c, s.peer.away)
			return
		}
		s.peer.greet(s, c)
	}
	for len(c.unread) > 0 && !c.closed {
		data := c.unread[0]
		c.unread = c.unread[1:]
		s.peer.heard(s, c, data)
	}
}

// play does the steps of a script one after the other.
func (s *sim) play(c *simConn, steps []step) {
	d := s.peer.rtt / 2
	if s.m.ep.Transport == probes.UDP {
		d = s.peer.rtt
	}
	for _, st := range steps {
		d += st.wait
		switch st.do {
		case "say":
			s.after(d, c, func() {
				from := netip.AddrPort{}
				if st.port != 0 {
					from = netip.AddrPortFrom(s.m.ep.Addr, st.port)
				}
				s.tell(Event{Kind: Received, Conn: c.number, Data: []byte(st.text), From: from})
			})
		case "close":
			s.after(d, c, func() { s.gone(c, io.EOF) })
		case "reset":
			s.after(d, c, func() { s.gone(c, syscall.ECONNRESET) })
		case "reject":
			s.after(d, c, func() {
				s.tell(Event{Kind: Rejected, Conn: c.number, Err: syscall.ECONNREFUSED})
			})
		}
	}
}

// gone ends a connection from the peer's side.
func (s *sim) gone(c *simConn, err error) {
	s.leave(c)
	s.tell(Event{Kind: Ended, Conn: c.number, Err: err})
}

// leave forgets a connection, and the server turns to the next.
func (s *sim) leave(c *simConn) {
	c.closed = true
	delete(s.conns, c.number)
	s.inn = slices.DeleteFunc(s.inn, func(o *simConn) bool { return o == c })
	if s.peer.queues && len(s.inn) > 0 {
		next := s.inn[0]
		s.after(s.peer.rtt/2, next, func() { s.serve(next) })
	}
}

func (s *sim) shake(c *simConn, a Action) {
	h := &Handshake{Facts: probes.TLSFacts{Name: a.Hello.Name}, BytesOut: 300, BytesIn: 900}
	switch s.peer.tls {
	case "yes", "1.2":
		h.Facts.Version = "TLS 1.3"
		more := time.Duration(0) // beside one round trip
		if s.peer.tls == "1.2" {
			h.Facts.Version, more = "TLS 1.2", s.peer.rtt
		}
		if given := a.Ticket == UseTicket && s.peer.tickets != ""; given {
			if s.peer.tickets == "fail" {
				h.Facts.Alert = "bad record MAC"
				s.unsecured(c, h, &tlsprobe.HandshakeError{SpokeTLS: true, Ticket: true})
				return
			}
			h.Facts.Version, h.Facts.Remembered = "TLS 1.2", true
			c.mute = s.peer.tickets == "mute"
		}
		s.after(more, c, func() { s.secured(c, h) })
	case "silent":
		h.Facts.Alert = "timeout"
		s.after(a.Timeout, c, func() { s.unsecured(c, h, &tlsprobe.HandshakeError{Silent: true}) })
	case "no", "":
		h.Facts.Alert = "not TLS"
		s.unsecured(c, h, &tlsprobe.HandshakeError{})
	default:
		h.Facts.Alert = s.peer.tls
		s.unsecured(c, h, &tlsprobe.HandshakeError{SpokeTLS: true})
	}
}

// showKey ends a key exchange.
func (s *sim) showKey(c *simConn, a Action) {
	tell := func(e Event) {
		s.leave(c)
		e.Kind, e.Conn = Shown, c.number
		s.tell(e)
	}
	kind, sum, ok := strings.Cut(s.peer.key, " ")
	switch {
	case ok:
		tell(Event{Key: &KeyExchange{probes.SSHHostKey{Type: kind, SHA256: sum}, 1500, 1800}})
	case s.peer.key == "silent":
		s.after(a.Timeout, c, func() { tell(Event{Key: &KeyExchange{}, Err: os.ErrDeadlineExceeded}) })
	default:
		tell(Event{Key: &KeyExchange{}, Err: io.EOF})
	}
}

func (s *sim) secured(c *simConn, h *Handshake) {
	c.tunnel, c.served = true, false
	s.tell(Event{Kind: Secured, Conn: c.number, TLS: h})
	if !c.closed {
		s.serve(c)
	}
}

func (s *sim) unsecured(c *simConn, h *Handshake, err *tlsprobe.HandshakeError) {
	err.Err = errors.New(h.Facts.Alert)
	s.leave(c)
	s.tell(Event{Kind: Unsecured, Conn: c.number, TLS: h, Err: err})
}

// replay visits an endpoint at which recorded answers are all that there is.
func replay(t *testing.T, p *Prober, ep probes.Endpoint, known Remembered, recorded []probes.Evidence) probes.Observation {
	t.Helper()
	script := &peer{rtt: time.Millisecond}
	for _, e := range recorded {
		r := reaction{steps: []step{{do: "say", text: string(e.Answer)}, {do: "close"}}}
		if pr := p.db.Lookup(ep.Transport, e.Probe); pr != nil && !pr.IsNull() {
			r.to = string(pr.Payload)
		}
		script.reactions = append(script.reactions, r)
	}
	return newSim(t, p.NewMachine(ep, known, match.NewScratch()), script).run()
}
