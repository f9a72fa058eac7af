package visitor

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
)

// contactsOf makes one visit and gives what is told of its connections.
func contactsOf(t *testing.T, loops []engine.Loop, addr netip.AddrPort, transport probes.Transport, m *script) []Contact {
	t.Helper()
	v := newTest(t, loops, nil, func(probes.Endpoint) *script { return m })
	var mu sync.Mutex
	var all []Contact
	v.contacts = func(c Contact) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, c)
	}
	v.Visit(t.Context(), endpoint(addr, transport), session.Remembered{})
	v.Close()
	return all
}

// named is a Send as the real machine makes it.
func named(id int, what string) session.Action {
	return session.Action{Kind: session.Send, Conn: id, Data: []byte("x"), What: what}
}

// TestContacts: what the other side saw of a visit is what is told of it.
func TestContacts(t *testing.T) {
	seen := make(chan net.Addr, 4)
	addr := serve(t, func(c net.Conn) {
		seen <- c.RemoteAddr()
		c.Read(make([]byte, 2))
	})
	before := time.Now()
	all := contactsOf(t, realLoops(t), addr, probes.TCP,
		&script{on: func(_ *script, now time.Time, e session.Event) []session.Action {
			switch {
			case e.Kind == 0:
				return []session.Action{open(0), wake(now.Add(10 * time.Second))}
			case e.Kind == session.Opened && e.Conn == 0:
				return []session.Action{named(0, "GetRequest"), named(0, session.SaidGoodbye), open(1)}
			case e.Kind == session.Opened:
				return finish(0, 1)
			case e.Kind == session.Woken:
				return finish(0, 1)
			}
			return nil
		}})
	if len(all) != 2 {
		t.Fatalf("told of %d connections, want 2: %+v", len(all), all)
	}
	said := map[string][]string{}
	for _, c := range all {
		if c.Remote != addr || c.Transport != probes.TCP {
			t.Errorf("told of %v %v, want %v", c.Transport, c.Remote, addr)
		}
		if c.Begun.Before(before.Add(-time.Second)) || c.Ended.Before(c.Begun) || c.Ended.After(time.Now()) {
			t.Errorf("from %v to %v", c.Begun, c.Ended)
		}
		said[c.Local.String()] = c.Said
	}
	first, second := (<-seen).String(), (<-seen).String()
	want := map[string][]string{first: {"GetRequest", session.SaidGoodbye}, second: nil}
	if other := (map[string][]string{second: want[first], first: nil}); !cmp.Equal(said, want) && !cmp.Equal(said, other) {
		t.Errorf("told of %v, the server saw %v and %v", said, first, second)
	}
}

// TestContactRefused: a SYN that was answered by a reset was sent all the same,
// and its port is known.
func TestContactRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	all := contactsOf(t, realLoops(t), addr, probes.TCP, greeted())
	if len(all) != 1 || !errors.Is(all[0].End, syscall.ECONNREFUSED) || all[0].Local.Port() == 0 {
		t.Errorf("told of %+v", all)
	}
}

// TestContactUDP: datagrams are told of when they have gone out; a socket from
// which none did is nobody's business, nor is what the scope forbade.
func TestContactUDP(t *testing.T) {
	server, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	addr := server.LocalAddr().(*net.UDPAddr).AddrPort()
	asks := func(what ...string) *script {
		left := len(what)
		return &script{on: func(_ *script, now time.Time, e session.Event) (as []session.Action) {
			switch e.Kind {
			case 0:
				return []session.Action{open(0), wake(now.Add(10 * time.Second))}
			case session.Opened:
				for _, w := range what {
					as = append(as, named(0, w))
				}
				if len(as) == 0 {
					as = finish(0)
				}
			case session.Sent:
				if left--; left == 0 {
					as = finish(0)
				}
			case session.Woken:
				as = finish(0)
			case session.Ended:
				as = finish()
			}
			return as
		}}
	}
	all := contactsOf(t, realLoops(t), addr, probes.UDP, asks("NTPRequest", "Help"))
	if len(all) != 1 || !cmp.Equal(all[0].Said, []string{"NTPRequest", "Help"}) {
		t.Fatalf("told of %+v", all)
	}
	for range 2 {
		_, from, err := server.ReadFromUDPAddrPort(make([]byte, 10))
		if err != nil || from.Port() != all[0].Local.Port() {
			t.Errorf("heard from %v (%v), told of %v", from, err, all[0].Local)
		}
	}
	if all := contactsOf(t, realLoops(t), addr, probes.UDP, asks()); len(all) != 0 {
		t.Errorf("told of %+v, though nothing was sent", all)
	}
	var guarded []engine.Loop
	for _, l := range realLoops(t) {
		guarded = append(guarded, engine.Guard(l, func(string, netip.AddrPort) bool { return false }))
	}
	if all := contactsOf(t, guarded, addr, probes.UDP, asks("Help")); len(all) != 0 {
		t.Errorf("told of %+v, though it was out of the scope", all)
	}
}
