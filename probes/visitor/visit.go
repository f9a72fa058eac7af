package visitor

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
)

// A visit is one conversation. It belongs to its worker's loop.
type visit struct {
	*worker
	ep      probes.Endpoint
	known   session.Remembered
	done    func(probes.Observation)
	release func() // gives its place back, or ends the wait for it

	m       machine // nil until there is a place
	conns   []*conn // those that the machine has not closed
	timer   engine.Timer
	wakes   int // counts Wakes, so that one that was replaced is known
	dueWake int // the Wake whose time has come

	busy  bool    // the machine's actions are being done
	later []event // what happened meanwhile
	over  bool
}

// An event is a session.Event of a connection, or of none.
type event struct {
	session.Event
	conn *conn
}

// begin asks for a place.
func (s *visit) begin() {
	s.visits[s] = struct{}{}
	var granted bool
	s.release, granted = s.budget.Admit(s.ep.Addr, func() { s.loop.Post(s.start) })
	if granted {
		s.start()
	}
}

// start begins the conversation.
func (s *visit) start() {
	if s.over {
		return
	}
	s.m = s.newMachine(s.ep, s.known, s.scratch)
	s.timer = s.loop.NewTimer(s.due)
	s.busy = true
	s.perform(s.m.Start(s.loop.Now()))
	s.catchUp()
}

// cancel ends the visit before its time.
func (s *visit) cancel(reason error) {
	switch {
	case s.over:
	case s.m == nil:
		s.finish(s.unasked(reason))
	default:
		s.tell(nil, session.Event{Kind: session.Cancelled, Err: reason})
	}
}

// unasked is what is known of an endpoint that never had its turn.
func (s *visit) unasked(reason error) probes.Observation {
	return probes.Observation{Addr: s.ep.Addr, Port: s.ep.Port, Transport: s.ep.Transport,
		Names: s.ep.Names, Outcome: probes.OutcomeInconclusive, Reason: "not tried",
		Errors: []string{reason.Error()}}
}

// tell hands an event to the machine and does what it wants done. An event that
// comes while that is under way waits.
func (s *visit) tell(c *conn, e session.Event) {
	if s.busy {
		e.Data = bytes.Clone(e.Data)
		s.later = append(s.later, event{e, c})
		return
	}
	s.busy = true
	s.handle(c, e)
	s.catchUp()
}

func (s *visit) catchUp() {
	for len(s.later) > 0 {
		e := s.later[0]
		s.later = s.later[1:]
		s.handle(e.conn, e.Event)
	}
	s.busy = false
}

// handle leaves out what belongs to the past: the machine may have closed the
// connection, or have ended.
func (s *visit) handle(c *conn, e session.Event) {
	if s.over || c != nil && c.closed {
		return
	}
	if c != nil {
		e.Conn = c.id
		switch e.Kind {
		case session.Ended, session.Unsecured, session.Shown:
			s.forget(c)
		}
	}
	s.perform(s.m.Handle(s.loop.Now(), e))
}

// perform does what the machine wants. An action for a connection that is gone,
// of which the machine is yet to hear, is left out.
func (s *visit) perform(actions []session.Action) {
	for i := range actions {
		a := &actions[i]
		switch a.Kind {
		case session.Open:
			s.newConn(a)
		case session.Wake:
			s.wake(a.At)
		case session.Finish:
			s.finish(s.m.Observation(s.loop.Now()))
			return
		default:
			if c := s.conn(a.Conn); c != nil {
				c.do(a)
			}
		}
	}
}

func (s *visit) conn(id int) *conn {
	for _, c := range s.conns {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (s *visit) forget(c *conn) {
	s.conns = slices.DeleteFunc(s.conns, func(other *conn) bool { return other == c })
}

// newConn begins a connection.
func (s *visit) newConn(a *session.Action) {
	c := &conn{visit: s, id: a.Conn, dial: engine.Dial{
		Network:    string(s.ep.Transport),
		Remote:     netip.AddrPortFrom(s.ep.Addr, s.ep.Port),
		SourcePort: a.SourcePort,
		Timeout:    s.connectTimeout,
		Interface:  s.via,
	}}
	s.conns = append(s.conns, c)
	c.begin()
}

// wake arms the timer, in place of the Wake before.
func (s *visit) wake(at time.Time) {
	s.wakes++
	if at.IsZero() {
		s.timer.Stop()
		return
	}
	s.timer.Reset(at)
}

// due is called when the time of a Wake has come.
func (s *visit) due() {
	s.dueWake = s.wakes
	s.afterReads(s.ripen)
}

// ripen wakes the machine, unless it wants that no more, once its tunnels have
// decrypted what came.
func (s *visit) ripen() {
	if s.over || s.dueWake != s.wakes {
		return
	}
	for _, c := range s.conns {
		if c.tunnel != nil && c.tunnel.bridge.unread(func() { s.loop.Post(s.ripen) }) {
			return
		}
	}
	s.tell(nil, session.Event{Kind: session.Woken})
}

// finish ends the visit.
func (s *visit) finish(o probes.Observation) {
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
	for len(s.conns) > 0 { // none, if the machine keeps its word
		s.conns[0].close()
	}
	s.later = nil
	s.release()
	delete(s.visits, s)
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("visited", "addr", o.Addr, "port", o.Port, "transport", o.Transport,
			"outcome", o.Outcome, "service", o.Service, "cost", o.Cost, "errors", o.Errors)
	}
	s.done(o)
	s.alive.Done()
}
