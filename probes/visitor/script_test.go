package visitor

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
	"sonde/probes/tlsprobe"
)

// A script is a machine that a test writes: on gives the actions for each
// event, and for the start, which has no kind. It belongs to the loop; the test
// may look when the visit is done.
type script struct {
	on     func(m *script, now time.Time, e session.Event) []session.Action
	events []session.Event // all that came, with the bytes that were theirs
	ep     probes.Endpoint
	text   []byte // what came on all connections
}

func (m *script) Start(now time.Time) []session.Action { return m.on(m, now, session.Event{}) }

func (m *script) Handle(now time.Time, e session.Event) []session.Action {
	e.Data = slices.Clone(e.Data)
	m.events = append(m.events, e)
	m.text = append(m.text, e.Data...)
	return m.on(m, now, e)
}

func (m *script) Observation(time.Time) probes.Observation {
	return probes.Observation{Addr: m.ep.Addr, Port: m.ep.Port, Transport: m.ep.Transport,
		Outcome: probes.OutcomeAnswered, Reason: string(m.text)}
}

// kinds names what came.
func (m *script) kinds() (ks []session.EventKind) {
	for _, e := range m.events {
		ks = append(ks, e.Kind)
	}
	return ks
}

// first gives the first event of a kind.
func (m *script) first(t *testing.T, kind session.EventKind) session.Event {
	t.Helper()
	for _, e := range m.events {
		if e.Kind == kind {
			return e
		}
	}
	t.Fatalf("no event of kind %d in %v", kind, m.events)
	panic("unreachable")
}

// Short forms of actions.
func open(id int) session.Action { return session.Action{Kind: session.Open, Conn: id} }
func send(id int, s string) session.Action {
	return session.Action{Kind: session.Send, Conn: id, Data: []byte(s)}
}
func startTLS(id int, limit time.Duration) session.Action {
	return session.Action{Kind: session.StartTLS, Conn: id, Hello: &tlsprobe.Config{}, Timeout: limit, MaxBytes: 256 << 10}
}
func wake(at time.Time) session.Action { return session.Action{Kind: session.Wake, At: at} }
func finish(ids ...int) []session.Action {
	var as []session.Action
	for _, id := range ids {
		as = append(as, session.Action{Kind: session.Close, Conn: id})
	}
	return append(as, session.Action{Kind: session.Finish})
}

// newTest makes a Visitor whose visits follow the script.
func newTest(t testing.TB, loops []engine.Loop, b Budget, next func(probes.Endpoint) *script) *Visitor {
	t.Helper()
	v, err := setup(&Visitor{
		connectTimeout: 2 * time.Second,
		newMachine: func(ep probes.Endpoint, _ session.Remembered, _ *match.Scratch) machine {
			m := next(ep)
			m.ep = ep
			return m
		},
	}, Config{Loops: loops, Budget: b})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// realLoops makes an engine that ends with the test.
func realLoops(t testing.TB) []engine.Loop {
	t.Helper()
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e.Loops()
}

// visitOnce makes one visit with the real engine that follows the script.
func visitOnce(t *testing.T, addr netip.AddrPort, transport probes.Transport, m *script) probes.Observation {
	t.Helper()
	v := newTest(t, realLoops(t), nil, func(probes.Endpoint) *script { return m })
	o := v.Visit(t.Context(), endpoint(addr, transport), session.Remembered{})
	v.Close()
	return o
}

func endpoint(a netip.AddrPort, transport probes.Transport) probes.Endpoint {
	return probes.Endpoint{Addr: a.Addr(), Port: a.Port(), Transport: transport}
}

// serve answers each connection with handle until the test ends.
func serve(t testing.TB, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			running.Go(func() {
				handle(c)
				c.Close()
				mu.Lock()
				delete(conns, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// greeted is a script that hears a connection to its end.
func greeted() *script {
	return &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		switch e.Kind {
		case 0:
			return []session.Action{open(0), wake(now.Add(10 * time.Second))}
		case session.Ended:
			return finish()
		case session.Woken, session.Cancelled:
			return finish(0)
		}
		return nil
	}}
}
