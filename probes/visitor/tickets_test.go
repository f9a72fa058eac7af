package visitor

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sonde/probes"
	"sonde/probes/session"
	"sonde/probes/tlsprobe"
)

// realTicket gets a ticket of a real server.
func realTicket(t *testing.T) tlsprobe.Ticket {
	t.Helper()
	ep := serveTLS(t, &tls.Config{MaxVersion: tls.VersionTLS12}, func(c *tls.Conn) { io.Copy(io.Discard, c) })
	c, err := net.Dial("tcp", netip.AddrPortFrom(ep.Addr, ep.Port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var ticket tlsprobe.Ticket
	if _, _, err := tlsprobe.Handshake(t.Context(), c, tlsprobe.Config{Ticket: &ticket}); err != nil || ticket.Size() == 0 {
		t.Fatalf("a ticket of %d bytes, %v", ticket.Size(), err)
	}
	return ticket
}

func TestTickets(t *testing.T) {
	ticket := realTicket(t)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	key := ticketKey{peer, "box.example"}
	fresh := func(ts *tickets) { ts.put(key, ticket, false, start) }
	for _, tt := range []struct {
		name string
		do   func(ts *tickets)
		at   time.Duration
		want string
	}{
		{"nothing", func(*tickets) {}, 0, "ask"},
		{"fresh", fresh, 0, "use"},
		{"nearly a day old", fresh, ticketAge - time.Second, "use"},
		{"a day old", fresh, ticketAge, "ask"},
		{"the clock was set back", fresh, -time.Second, "ask"},
		{"renewed in a resumed session", func(ts *tickets) {
			fresh(ts)
			ts.put(key, ticket, true, start.Add(20*time.Hour))
		}, ticketAge, "ask"},
		{"renewed in full", func(ts *tickets) {
			fresh(ts)
			ts.put(key, ticket, false, start.Add(20*time.Hour))
		}, ticketAge, "use"},
		{"a resumed session of one that is not known any more", func(ts *tickets) { ts.put(key, ticket, true, start) }, 0, "ask"},
		{"a full handshake that gives none", func(ts *tickets) {
			fresh(ts)
			ts.put(key, tlsprobe.Ticket{}, false, start)
		}, 0, "ask"},
		{"spared", func(ts *tickets) { fresh(ts); ts.spare(key, start) }, ticketAge - time.Second, "spare"},
		{"spared for a day", func(ts *tickets) { ts.spare(key, start) }, ticketAge, "ask"},
		{"another name", func(ts *tickets) { ts.put(ticketKey{peer, ""}, ticket, false, start) }, 0, "ask"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ts tickets
			tt.do(&ts)
			got := "ask"
			switch k := ts.get(key, start.Add(tt.at)); {
			case k == nil:
				got = "spare"
			case k.Size() > 0:
				got = "use"
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Memory is bounded, those that are kept stay until they are a day old, and
// nothing is counted that is not there.
func TestTicketsAreBounded(t *testing.T) {
	ticket := realTicket(t)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	fits := maxTickets / (ticket.Size() + ticketCost)
	key := func(n int) ticketKey { return ticketKey{peer, fmt.Sprint(n)} }
	var ts tickets
	for n := range 2 * fits {
		ts.put(key(n), ticket, false, start.Add(time.Duration(n)*time.Microsecond))
	}
	if len(ts.known) != fits || ts.size > maxTickets || ts.get(key(0), start.Add(time.Minute)).Size() == 0 {
		t.Errorf("%d of %d are kept, in %d bytes", len(ts.known), fits, ts.size)
	}
	ts.put(key(-1), ticket, false, start.Add(ticketAge+time.Microsecond))
	if ts.get(key(-1), start.Add(ticketAge+time.Hour)).Size() == 0 {
		t.Error("there is no place though some are a day old")
	}
	for n := range 2 * fits {
		ts.get(key(n), start.Add(2*ticketAge))
	}
	ts.get(key(-1), start.Add(3*ticketAge))
	if len(ts.known) != 0 || ts.order.Len() != 0 || ts.size != 0 {
		t.Errorf("%d, %d are left, of %d bytes", len(ts.known), ts.order.Len(), ts.size)
	}
}

// A wire passes bytes between a client and a server, each after a delay, and
// counts the round trips: one for the connect, and one more for what a server
// says to a client that has heard what came before.
type wire struct {
	to    netip.AddrPort
	delay time.Duration
	now   atomic.Pointer[counted] // of the visit that is under way
}

type counted struct{ conns, trips atomic.Int64 }

// carry is for serve.
func (w *wire) carry(c net.Conn) {
	s, err := net.Dial("tcp", w.to.String())
	if err != nil {
		return
	}
	defer s.Close()
	n := w.now.Load()
	n.conns.Add(1)
	n.trips.Add(1)
	var asked atomic.Int64 // how many trips came before what the server heard last
	var both sync.WaitGroup
	both.Go(func() { w.pass(s, c, n.trips.Load, asked.Store) })
	both.Go(func() { w.pass(c, s, func() int64 { return asked.Load() + 1 }, n.trips.Store) })
	both.Wait()
}

// pass asks before for the trips as soon as something comes, and tells it after
// when that has arrived.
func (w *wire) pass(to, from net.Conn, before func() int64, after func(int64)) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			trips := before()
			time.Sleep(w.delay) // the delay is the purpose
			after(trips)
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

const webDatabase = "Probe TCP NULL q||\nProbe TCP GetRequest q|GET / HTTP/1.0\\r\\n\\r\\n|\nrarity 1\n" +
	"sslports 1-65535\nmatch http m|^HTTP/1.0 200 OK\\r\\nServer: Box/(\\d)| p/Box/ v/$1/\n" +
	"match http m|^HTTP/1.[01] 200 |\n"

// TestRoundTrips: a revisit of a TLS server takes three round trips, whatever
// the version, and shows the same.
func TestRoundTrips(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ep := serveTLS(t, &tls.Config{MinVersion: version, MaxVersion: version}, func(c *tls.Conn) {
				c.Read(make([]byte, 100))
				io.WriteString(c, "HTTP/1.0 200 OK\r\nServer: Box/3\r\nContent-Length: 0\r\n\r\n")
			})
			revisits(t, ep, webDatabase, 3, version < tls.VersionTLS13)
		})
	}
}

// revisits visits a server over a long wire, for the first time and again.
func revisits(t *testing.T, ep probes.Endpoint, database string, trips int64, resumed bool) {
	t.Helper()
	w := &wire{to: netip.AddrPortFrom(ep.Addr, ep.Port), delay: 5 * time.Millisecond}
	at := endpoint(serve(t, w.carry), probes.TCP)
	v := wholeVisitorOf(t, database)
	visit := func(known session.Remembered) (probes.Observation, *counted) {
		n := new(counted)
		w.now.Store(n)
		return v.Visit(t.Context(), at, known), n
	}
	o, n := visit(session.Remembered{})
	if o.Strength != probes.Hard || len(o.TLS) != 1 || o.TLS[0].Remembered || o.TLS[0].Certificate == nil {
		t.Fatalf("the first visit: %s, facts %+v, errors %q", o.Identity, o.TLS, o.Errors)
	}
	if got := n.trips.Load(); got < trips || resumed && got != trips+1 {
		t.Errorf("the first visit takes %d round trips", got)
	}
	for range 3 {
		again, n := visit(session.Recall(&o))
		if n.conns.Load() != 1 || n.trips.Load() != trips {
			t.Errorf("a revisit: %d connections, %d round trips, want 1, %d", n.conns.Load(), n.trips.Load(), trips)
		}
		if again.Identity.String() != o.Identity.String() || len(again.TLS) != 1 || again.TLS[0].Remembered != resumed ||
			again.TLS[0].Certificate == nil || again.TLS[0].Certificate.SHA256 != o.TLS[0].Certificate.SHA256 {
			t.Errorf("a revisit: %s, facts %+v, errors %q", again.Identity, again.TLS, again.Errors)
		}
	}
}

// wholeVisitorOf asks with a database of its own.
func wholeVisitorOf(t *testing.T, text string) *Visitor {
	t.Helper()
	db, err := probes.Load(probes.Source{Name: "test.probes", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := session.New(session.Config{Database: db, Settings: session.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{Loops: realLoops(t), Prober: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// TestServerThatStumblesOverTickets: it is asked in full, and gets no other
// ticket for a day.
func TestServerThatStumblesOverTickets(t *testing.T) {
	cfg := &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MaxVersion: tls.VersionTLS12}
	var accepted atomic.Int64
	for name, mute := range map[string]bool{"hangs up": false, "says nothing": true} {
		t.Run(name, func(t *testing.T) {
			accepted.Store(0)
			at := endpoint(serve(t, func(c net.Conn) {
				accepted.Add(1)
				inside := tls.Server(c, cfg)
				if inside.Handshake() != nil {
					return
				}
				if inside.ConnectionState().DidResume && mute {
					return
				}
				inside.Read(make([]byte, 100))
				io.WriteString(inside, "HTTP/1.0 200 OK\r\nServer: Box/3\r\nContent-Length: 0\r\n\r\n")
			}), probes.TCP)
			if !mute {
				at = endpoint(serve(t, hangsUpOnTickets(netip.AddrPortFrom(at.Addr, at.Port))), probes.TCP)
			}
			v := wholeVisitorOf(t, webDatabase)
			first := v.Visit(t.Context(), at, session.Remembered{})
			var connections []int
			for range 3 {
				o := v.Visit(t.Context(), at, session.Recall(&first))
				if o.Identity.String() != first.Identity.String() || o.Outcome != probes.OutcomeAnswered ||
					o.TLS[0].Remembered || o.TLS[0].Certificate == nil {
					t.Errorf("a revisit: %+v, facts %+v, errors %q", o.Identity, o.TLS, o.Errors)
				}
				connections = append(connections, o.Cost.Connections)
			}
			if got := fmt.Sprint(connections); got != "[2 1 1]" || first.Product != "Box" {
				t.Errorf("%s: revisits of %s connections", first.Identity, got)
			}
		})
	}
}

// hangsUpOnTickets is a middlebox that does not like a hello with a ticket.
func hangsUpOnTickets(to netip.AddrPort) func(net.Conn) {
	return func(c net.Conn) {
		hello := make([]byte, 4<<10)
		n, err := c.Read(hello)
		if err != nil || n > 350 { // ours has less than 300 without a ticket
			return
		}
		s, err := net.Dial("tcp", to.String())
		if err != nil {
			return
		}
		defer s.Close()
		s.Write(hello[:n])
		go func() { io.Copy(s, c); s.Close() }()
		io.Copy(c, s)
	}
}
