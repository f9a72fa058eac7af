package visitor

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
	"sonde/probes/session"
)

var peer = netip.MustParseAddrPort("192.0.2.1:22")

// A gate is a budget of which the test decides what is granted, and when. It
// notes what was asked and given back.
type gate struct {
	shut    map[string]bool // "admit", "pace", "connect": not granted at once
	log     []string
	waiting map[string][]func()
}

func newGate(shut ...string) *gate {
	g := &gate{shut: map[string]bool{}, waiting: map[string][]func(){}}
	for _, s := range shut {
		g.shut[s] = true
	}
	return g
}

func (g *gate) ask(what string, ready func()) (func(), bool) {
	g.log = append(g.log, what)
	release := func() { g.log = append(g.log, "end "+what) }
	if g.shut[what] {
		g.waiting[what] = append(g.waiting[what], ready)
		return release, false
	}
	return release, true
}

func (g *gate) Admit(_ netip.Addr, ready func()) (func(), bool)    { return g.ask("admit", ready) }
func (g *gate) Pace(_ netip.AddrPort, ready func()) (func(), bool) { return g.ask("pace", ready) }
func (g *gate) Connect(_ netip.Addr, ready func()) (func(), bool)  { return g.ask("connect", ready) }
func (g *gate) grant(what string) {
	ready := g.waiting[what]
	g.waiting[what] = nil
	for _, f := range ready {
		f()
	}
}

// virtual makes a Visitor on a loop in virtual time.
func virtual(t *testing.T, b Budget, next func(probes.Endpoint) *script) (*enginetest.Loop, *Visitor) {
	t.Helper()
	l := enginetest.New()
	v := newTest(t, []engine.Loop{l}, b, next)
	t.Cleanup(func() {
		l.Run()
		v.Close()
		l.Run()
		l.Close()
	})
	return l, v
}

// speaks is a peer that accepts, and says hello after a while.
func speaks(after time.Duration) enginetest.Peer {
	return func(r *enginetest.Remote) {
		r.Accept(10 * time.Millisecond)
		r.Send(after, []byte("hello"))
	}
}

// TestBudgetSteps: a visit asks for its place, then each connection for its
// time and its room, in this order, and gives back what it had.
func TestBudgetSteps(t *testing.T) {
	g := newGate("admit", "pace", "connect")
	m := greeted()
	l, v := virtual(t, g, func(probes.Endpoint) *script { return m })
	l.Serve("tcp", peer, func(r *enginetest.Remote) {
		r.Accept(0)
		r.End(time.Second, io.EOF)
	})
	done := 0
	v.Begin(endpoint(peer, probes.TCP), session.Remembered{}, func(probes.Observation) { done++ })
	var want []string
	for _, what := range []string{"admit", "pace", "connect"} {
		l.RunUntil(l.Now().Add(time.Second))
		want = append(want, what)
		if diff := cmp.Diff(want, g.log); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		if len(l.Conns()) != 0 {
			t.Fatalf("dialled before %s was granted", what)
		}
		if what == "connect" {
			break
		}
		g.grant(what)
	}
	g.grant("connect")
	l.Run()
	want = append(want, "end connect", "end admit")
	if diff := cmp.Diff(want, g.log); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if done != 1 || len(l.Conns()) != 1 {
		t.Errorf("done %d times over %d connections", done, len(l.Conns()))
	}
}

// TestCancelWhileWaiting ends a visit that waits for its budget: it gives back
// each wait once, and a grant that comes late means nothing.
func TestCancelWhileWaiting(t *testing.T) {
	for what, want := range map[string][]string{
		"admit":   {"admit", "end admit"},
		"pace":    {"admit", "pace", "end pace", "end admit"},
		"connect": {"admit", "pace", "connect", "end connect", "end admit"},
	} {
		t.Run(what, func(t *testing.T) {
			g := newGate(what)
			l, v := virtual(t, g, func(probes.Endpoint) *script { return greeted() })
			var got probes.Observation
			done := 0
			cancel := v.Begin(endpoint(peer, probes.TCP), session.Remembered{}, func(o probes.Observation) { got = o; done++ })
			for range 10 { // not to the end of time, at which the script gives up
				l.Step()
			}
			cancel(errors.New("enough"))
			cancel(errors.New("once more"))
			for range 10 {
				l.Step()
			}
			g.grant(what)
			l.Run()
			if diff := cmp.Diff(want, g.log); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if done != 1 || len(l.Conns()) != 0 {
				t.Errorf("done %d times over %d connections", done, len(l.Conns()))
			}
			if what == "admit" && (got.Outcome != probes.OutcomeInconclusive || !slices.Equal(got.Errors, []string{"enough"})) {
				t.Errorf("a visit that had no turn: %+v", got)
			}
		})
	}
}

// TestDatagramsArePaced: the opening of a socket sends nothing, each datagram
// waits for its time, and they keep their order.
func TestDatagramsArePaced(t *testing.T) {
	g := newGate("pace")
	var remote *enginetest.Remote
	m := &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		switch e.Kind {
		case 0:
			return []session.Action{open(0), wake(now.Add(time.Minute))}
		case session.Opened:
			return []session.Action{send(0, "1"), send(0, "2"), send(0, "3")}
		case session.Woken:
			return finish(0)
		}
		return nil
	}}
	l, v := virtual(t, g, func(probes.Endpoint) *script { return m })
	l.Serve("udp", peer, func(r *enginetest.Remote) { remote = r })
	v.Begin(endpoint(peer, probes.UDP), session.Remembered{}, func(probes.Observation) {})
	for i, want := range []string{"", "1", "12"} {
		l.RunUntil(enginetest.Epoch.Add(time.Duration(i+1) * time.Second))
		if got := string(remote.Received()); got != want {
			t.Errorf("after %d grants %q came, want %q", i, got, want)
		}
		if i < 2 {
			g.grant("pace")
		}
	}
	l.Run() // the third never gets its time before the visit ends
	want := []string{"admit", "connect", "pace", "pace", "pace", "end pace", "end connect", "end admit"}
	if diff := cmp.Diff(want, g.log); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := len(m.events); m.events[n-1].Kind != session.Woken {
		t.Errorf("events %v", m.kinds())
	}
}

// TestWakes: the newest Wake counts, and none that was taken back.
func TestWakes(t *testing.T) {
	at := func(d time.Duration) time.Time { return enginetest.Epoch.Add(d) }
	var woken []time.Duration
	m := &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		if e.Kind == 0 {
			return []session.Action{wake(at(time.Second)), wake(at(2 * time.Second))}
		}
		woken = append(woken, now.Sub(enginetest.Epoch))
		switch len(woken) {
		case 1:
			return []session.Action{open(0), wake(at(-time.Hour))} // at once
		case 2:
			return []session.Action{wake(at(3 * time.Second)), wake(time.Time{})}
		case 3: // Opened, with no Wake
			return []session.Action{wake(at(5 * time.Second))}
		}
		return finish(0)
	}}
	l, v := virtual(t, nil, func(probes.Endpoint) *script { return m })
	l.Serve("tcp", peer, func(r *enginetest.Remote) { r.Accept(2 * time.Second) })
	done := 0
	v.Begin(endpoint(peer, probes.TCP), session.Remembered{}, func(probes.Observation) { done++ })
	l.Run()
	want := []time.Duration{2 * time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second}
	if diff := cmp.Diff(want, woken); diff != "" || done != 1 {
		t.Errorf("done %d times; woken at (-want +got)\n%s", done, diff)
	}
}

// TestNothingAfterClose: a machine hears nothing of what it has closed.
func TestNothingAfterClose(t *testing.T) {
	m := &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		switch {
		case e.Kind == 0:
			return []session.Action{open(0), open(1), wake(now.Add(time.Minute))}
		case e.Kind == session.Opened && e.Conn == 0:
			return []session.Action{send(0, "bye"), {Kind: session.Close, Conn: 0}}
		case e.Kind == session.Woken:
			return finish(1)
		}
		return nil
	}}
	g := newGate()
	l, v := virtual(t, g, func(probes.Endpoint) *script { return m })
	l.Serve("tcp", peer, speaks(20*time.Millisecond))
	v.Begin(endpoint(peer, probes.TCP), session.Remembered{}, func(probes.Observation) {})
	l.Run()
	var told []string
	for _, e := range m.events {
		told = append(told, fmt.Sprintf("%d of %d", e.Kind, e.Conn))
	}
	want := []string{fmt.Sprintf("%d of 0", session.Opened), fmt.Sprintf("%d of 1", session.Opened),
		fmt.Sprintf("%d of 1", session.Received), fmt.Sprintf("%d of 0", session.Woken)}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := string(l.Conns()[0].Remote().Received()); got != "bye" {
		t.Errorf("the peer got %q", got)
	}
}

// TestCloseSendsWhatWasSent: what was sent goes out after the end of the visit,
// as long as the peer takes it in time.
func TestCloseSendsWhatWasSent(t *testing.T) {
	for stall, want := range map[time.Duration]string{lingerLimit / 2: "goodbye", 2 * lingerLimit: ""} {
		m := &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
			switch e.Kind {
			case 0:
				return []session.Action{open(0)}
			case session.Opened:
				return append([]session.Action{send(0, "good"), send(0, "bye")}, finish(0)...)
			}
			return nil
		}}
		g := newGate()
		l, v := virtual(t, g, func(probes.Endpoint) *script { return m })
		l.Serve("tcp", peer, func(r *enginetest.Remote) {
			r.Accept(0)
			r.Stall(true)
			r.After(stall, func() { r.Stall(false) })
		})
		done := false
		v.Begin(endpoint(peer, probes.TCP), session.Remembered{}, func(probes.Observation) { done = true })
		l.RunUntil(enginetest.Epoch.Add(lingerLimit / 4))
		if !done || slices.Contains(g.log, "end connect") {
			t.Errorf("done %v, log %v while the goodbye waits", done, g.log)
		}
		l.RunUntil(enginetest.Epoch.Add(lingerLimit))
		if !slices.Contains(g.log, "end connect") {
			t.Errorf("the connection still lingers: %v", g.log)
		}
		l.Run()
		if got := string(l.Conns()[0].Remote().Received()); got != want {
			t.Errorf("stalled for %v: the peer got %q, want %q", stall, got, want)
		}
	}
}

// TestFinishClosesAll: what a machine leaves open is closed, and given back.
func TestFinishClosesAll(t *testing.T) {
	m := &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		switch e.Kind {
		case 0:
			return []session.Action{open(0), open(1)}
		case session.Received:
			return finish()
		}
		return nil
	}}
	g := newGate()
	l, v := virtual(t, g, func(probes.Endpoint) *script { return m })
	l.Serve("tcp", peer, speaks(20*time.Millisecond))
	v.Begin(endpoint(peer, probes.TCP), session.Remembered{}, func(probes.Observation) {})
	l.Run()
	for i, c := range l.Conns() {
		if !c.Remote().Closed() {
			t.Errorf("connection %d is open", i)
		}
	}
	want := []string{"admit", "pace", "connect", "pace", "connect", "end connect", "end connect", "end admit"}
	if diff := cmp.Diff(want, g.log); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestVisitsAreSpread evenly over the loops.
func TestVisitsAreSpread(t *testing.T) {
	a, b := enginetest.New(), enginetest.New()
	v := newTest(t, []engine.Loop{a, b}, nil, func(probes.Endpoint) *script { return greeted() })
	for range 10 {
		v.Begin(endpoint(peer, probes.TCP), session.Remembered{}, func(probes.Observation) {})
	}
	for _, l := range []*enginetest.Loop{a, b} {
		l.Run()
		if n := len(l.Conns()); n != 5 {
			t.Errorf("%d connections on a loop, want 5", n)
		}
	}
	v.Close()
}
