package session

import (
	"bytes"
	"slices"
	"time"

	"sonde/probes"
	"sonde/probes/rpc"
)

const (
	// rpcReply is how long a SunRPC server may take for one reply: a lost
	// segment is sent again within it. What is missing then is asked again.
	rpcReply = 2 * time.Second
	// rpcListLimit bounds one list: three versions, each with its three tries
	// over UDP, of a server that answers only the last.
	rpcListLimit = 20 * time.Second
	// rpcGrindLimit bounds a grinder: 31 batches at 1 s each, as over UDP at
	// the 40 datagrams per second that a host gets in steady state, twice.
	rpcGrindLimit = time.Minute
)

// rpcServices are the names of a service that is known to speak SunRPC, while
// its program is not.
var rpcServices = []string{"rpcbind", "rpc", "sunrpc"}

// An rpcTalk is a conversation of package rpc.
type rpcTalk interface {
	Next() (send []byte, ok bool)
	Received(data []byte)
	Lapsed()
	Reopened()
	Done() bool
}

// dueRPC is what to ask a SunRPC server: a port mapper for its list, and
// another one, or what has no list, for its program.
func (m *Machine) dueRPC(due bool) []func() {
	s := &m.p.settings
	service := m.extras.observation.Service
	switch {
	case !slices.Contains(rpcServices, service):
		return nil
	case service == "rpcbind" && s.RPC && due && m.known.Program == 0:
		return []func(){m.listRPC}
	case s.Grind && m.known.Program != 0:
		m.doubt("RPC grinder: not asked to the end")
		return []func(){m.grindRPC}
	case s.Grind && due:
		return []func(){m.grindRPC}
	}
	return nil
}

func (m *Machine) rpcSettings() rpc.Settings {
	return rpc.Settings{Transport: m.ep.Transport, XID: m.p.xid()}
}

// listRPC asks a port mapper what it knows. Some databases name each SunRPC
// server so: what has no list may be another program.
func (m *Machine) listRPC() {
	lister := rpc.NewLister(m.rpcSettings())
	m.talkRPC("RPC list", lister, rpcListLimit, func() {
		list := lister.Result()
		m.tellPrograms(list.Facts())
		if list.Truncated {
			m.regret("RPC list: more than %d mappings", rpc.MaxMappings)
		}
		if len(list.Versions) == 0 {
			m.regret("RPC list: %s", reasonOf(list.Reason))
			if m.p.settings.Grind {
				m.extras.todo = append(m.extras.todo, m.grindRPC)
			}
		}
		m.nextExtra()
	})
}

// grindRPC looks for the program of a SunRPC port: first for the one that was
// found before, if there is one.
func (m *Machine) grindRPC() {
	all := rpc.Names().Numbers()
	if m.known.Program == 0 {
		m.grind(all, nil)
		return
	}
	m.grind([]uint32{m.known.Program}, func() { m.grind(all, nil) })
}

// grind asks for programs. Is none of them there, it goes on with orElse,
// unless that is nil.
func (m *Machine) grind(numbers []uint32, orElse func()) {
	g := rpc.NewGrind(numbers, m.rpcSettings())
	m.talkRPC("RPC grinder", g, rpcGrindLimit, func() {
		res := g.Result()
		_, found := res.Identity()
		gone := res.Reason == "no known program"
		switch {
		case gone && orElse != nil:
			orElse()
			return
		case found:
			m.tellProgram(&res)
		default:
			m.regret("RPC grinder: %s", reasonOf(res.Reason))
		}
		if found || gone {
			m.trust()
		}
		m.nextExtra()
	})
}

// tellProgram makes a program that was found the identity. A port mapper is
// better known by its own answer.
func (m *Machine) tellProgram(res *rpc.GrindResult) {
	o := &m.extras.observation
	m.tellPrograms(res.Facts())
	if res.Found[0].Program == rpc.PortMapper && o.Service == "rpcbind" {
		return
	}
	o.Identity, _ = res.Identity()
	o.Strength = probes.Hard
}

// tellPrograms keeps what programs there are.
func (m *Machine) tellPrograms(facts []probes.RPCFacts) {
	if len(facts) > probes.MaxRPC {
		m.regret("RPC: %d programs, of which %d are kept", len(facts), probes.MaxRPC)
		facts = facts[:probes.MaxRPC]
	}
	m.extras.observation.RPC = facts
}

// groundProgram is the program that a grinder made the identity, if so.
func groundProgram(o *probes.Observation) (number uint32, ok bool) {
	for _, f := range o.RPC {
		if id := rpc.Identity(f); id.Service == o.Service && id.Info == o.Info {
			return f.Program, true
		}
	}
	return 0, false
}

// reasonOf is why a conversation ended that may have been cut off.
func reasonOf(reason string) string {
	if reason == "" {
		return "ran out of time or bytes"
	}
	return reason
}

// talkRPC holds a conversation, for at most limit from the first connect on.
func (m *Machine) talkRPC(what string, talk rpcTalk, limit time.Duration, then func()) {
	m.dial(nil, 0, func(l *line, failed *connectError) {
		if failed != nil {
			m.regret("%s: %v", what, failed)
			then()
			return
		}
		m.converse(l, talk, m.now.Add(limit), then)
	})
}

// converse says what is to be said next, and waits for a reply.
func (m *Machine) converse(l *line, talk rpcTalk, limit time.Time, then func()) {
	switch {
	case talk.Done(), !m.now.Before(limit), m.budget.room() == 0:
		m.close(l)
		then()
		return
	case l.gone:
		m.close(l)
		m.reopenRPC(talk, limit, then)
		return
	}
	m.sayAll(l, talk)
	until := earlier(m.now.Add(rpcReply), limit)
	if l.unsent > 0 {
		until = limit
	}
	m.hear(l, until, func() {
		switch {
		case l.answer.heard():
			talk.Received(l.answer.buf)
		case l.open():
			talk.Lapsed()
		}
		m.converse(l, talk, limit, then)
	})
}

// sayAll sends the calls whose turn has come: over a stream as one piece.
func (m *Machine) sayAll(l *line, talk rpcTalk) {
	var calls [][]byte
	for {
		call, ok := talk.Next()
		if !ok {
			break
		}
		calls = append(calls, call)
	}
	if m.ep.Transport == probes.TCP {
		m.say(l, SaidRPC, bytes.Join(calls, nil))
		return
	}
	for _, call := range calls {
		m.say(l, SaidRPC, call)
		l.unsent++
	}
}

// extraSent begins the wait for replies when the last datagram has gone out.
func (m *Machine) extraSent(l *line) {
	if l.unsent == 0 {
		return
	}
	if l.unsent--; l.unsent == 0 {
		l.until = earlier(m.now.Add(rpcReply), l.until)
		l.patience = l.until
	}
}

// reopenRPC goes on over a new connection.
func (m *Machine) reopenRPC(talk rpcTalk, limit time.Time, then func()) {
	m.dial(nil, 0, func(l *line, failed *connectError) {
		if failed != nil {
			m.regret("RPC: %v", failed)
			then()
			return
		}
		talk.Reopened()
		m.converse(l, talk, limit, then)
	})
}
