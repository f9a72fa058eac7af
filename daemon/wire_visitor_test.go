package main

import (
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/config"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
	"sonde/probes/session"
)

// TestVisitsKeepToTheBudget makes ten visits to each of five hosts, one of
// which is silent, at the daemon's defaults: each host has at most one visit
// with two connections at a time, and one new connection per second; the silent
// one delays no other.
func TestVisitsKeepToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts, perHost = 5, 10
		l := ofConfig(&config.Default().Limits)
		l.visit = 8 // connections: four visits
		lim, err := l.limiter()
		if err != nil {
			t.Fatal(err)
		}
		db := mustDatabase(t, "Probe TCP NULL q||\ntotalwaitms 2000\nmatch ssh m|^SSH-2\\.0-(\\S+)| v/$1/\n")
		loop := enginetest.New()
		vs := newVisitors([]engine.Loop{loop}, &l, lim, db, 7, config.Identity{}, slog.New(slog.DiscardHandler))
		v, err := vs.of(manner{rpc: "off"})
		if err != nil {
			t.Fatal(err)
		}

		addr := func(host int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(host)}) }
		inAll, open := 0, map[netip.Addr]int{}
		last := map[netip.Addr]time.Time{}
		for host := range hosts {
			for port := range uint16(perHost) {
				to := netip.AddrPortFrom(addr(host), 1000+port)
				loop.Serve("tcp", to, func(r *enginetest.Remote) {
					if since := loop.Now().Sub(last[to.Addr()]); since < time.Second-10*time.Millisecond {
						t.Errorf("%s: a connection %v after another", to, since)
					}
					last[to.Addr()] = loop.Now()
					open[to.Addr()]++
					if inAll++; inAll > l.visit || open[to.Addr()] > l.hostConnections {
						t.Errorf("%s: %d connections, %d in all", to, open[to.Addr()], inAll)
					}
					r.OnClose(func() { open[to.Addr()]--; inAll-- })
					if host > 0 {
						r.Accept(time.Millisecond)
						r.Send(50*time.Millisecond, []byte("SSH-2.0-box\r\n"))
					}
				})
			}
		}
		left, answered := map[netip.Addr]int{}, 0
		began := time.Now()
		ended := map[netip.Addr]time.Duration{}
		for port := range uint16(perHost) {
			for host := range hosts {
				left[addr(host)]++
				ep := probes.Endpoint{Addr: addr(host), Port: 1000 + port, Transport: probes.TCP}
				v.Begin(ep, session.Remembered{}, func(o probes.Observation) {
					left[o.Addr]--
					if o.Version == "box" {
						answered++
					}
					ended[o.Addr] = time.Since(began)
				})
			}
		}
		unfinished := func() (n int) {
			for _, k := range left {
				n += k
			}
			return n
		}
		for unfinished() > 0 && time.Since(began) < 5*time.Minute {
			time.Sleep(time.Millisecond) // the rates' clock and the loop's go together
			synctest.Wait()
			loop.RunUntil(enginetest.Epoch.Add(time.Since(began)))
		}
		if n := unfinished(); n > 0 {
			t.Fatalf("%d visits never ended", n)
		}
		if answered != (hosts-1)*perHost {
			t.Errorf("%d of %d answered", answered, (hosts-1)*perHost)
		}
		for host := 1; host < hosts; host++ {
			if d := ended[addr(host)]; d > 20*time.Second {
				t.Errorf("the visits to %s took %v", addr(host), d)
			}
		}
		if d := ended[addr(0)]; d < 40*time.Second {
			t.Errorf("the silent host was done after %v already", d)
		}
		if inAll != 0 {
			t.Errorf("%d connections are left", inAll)
		}
		done := make(chan struct{})
		go func() { vs.close(); close(done) }()
		synctest.Wait()
		loop.Run()
		<-done
	})
}

// TestManner: the switches of a watch reach its visits, and watches with the
// same ones share a visitor.
func TestManner(t *testing.T) {
	l := ofConfig(&config.Default().Limits)
	lim, err := l.limiter()
	if err != nil {
		t.Fatal(err)
	}
	db := mustDatabase(t, "Probe TCP NULL q||\n")
	vs := newVisitors([]engine.Loop{enginetest.New()}, &l, lim, db, 7, config.Identity{}, slog.New(slog.DiscardHandler))
	defer vs.close()
	seen := map[any]bool{}
	for _, w := range []config.Watch{
		{RPC: "off"}, {RPC: "list"}, {RPC: "grind"}, {RPC: "off", StartTLS: true}, {RPC: "off", SSHHostKey: true}, {RPC: "off", Held: true},
	} {
		v, err := vs.of(mannerOf(&w))
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := vs.of(mannerOf(&w)); again != v || seen[v] {
			t.Errorf("%+v: not one visitor of its own", w)
		}
		seen[v] = true
		want := vs.settings
		want.Allow.Held, want.StartTLS, want.Names = w.Held, w.StartTLS, true
		want.SSHKey = w.SSHHostKey
		want.RPC, want.Grind = w.RPC != "off", w.RPC == "grind"
		if got := vs.settingsOf(mannerOf(&w)); got != want {
			t.Errorf("%+v: settings %+v", w, got)
		}
		careful := mannerOf(&w)
		careful.careful = true
		want.Intensity, want.Connections, want.MaxProbes, want.UDPRetries = 0, 1, 3, 0
		want.StartTLS, want.SSHKey, want.Names = false, false, false
		want.RPC, want.Grind = false, false
		if got := vs.settingsOf(careful); got != want {
			t.Errorf("%+v, with care: settings %+v", w, got)
		}
	}
}

// TestCarefulVisit: a fragile host, on loopback where no budget holds, has one
// connection at a time, and is sent what lists its port or what it is known by,
// and nothing else.
func TestCarefulVisit(t *testing.T) {
	const file = "Probe TCP NULL q||\ntotalwaitms 2000\n" +
		"Probe TCP Own q|own|\nrarity 3\nports 80\nmatch own m|^me$|\n" +
		"Probe TCP Common q|common|\nrarity 1\n" +
		"Probe TCP Rare q|rare|\nrarity 6\nmatch rare m|^yes rare$|\n"
	for _, c := range []struct {
		name  string
		how   manner
		port  uint16
		known session.Remembered
		want  []string // in the order in which it came
	}{
		{"as usual", manner{rpc: "off"}, 80, session.Remembered{}, []string{"own", "common", "rare"}},
		{"with care", manner{rpc: "off", careful: true}, 80, session.Remembered{}, []string{"own"}},
		{"with care at another port", manner{rpc: "off", careful: true}, 81, session.Remembered{}, nil},
		{"with care, known", manner{rpc: "off", careful: true}, 81, session.Remembered{Probe: "Rare"}, []string{"rare"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := ofConfig(&config.Default().Limits)
			lim, err := l.limiter()
			if err != nil {
				t.Fatal(err)
			}
			loop := enginetest.New()
			vs := newVisitors([]engine.Loop{loop}, &l, lim, mustDatabase(t, file), 7, config.Identity{},
				slog.New(slog.DiscardHandler))
			v, err := vs.of(c.how)
			if err != nil {
				t.Fatal(err)
			}
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), c.port)
			open, most := 0, 0
			var got []string
			loop.Serve("tcp", to, func(r *enginetest.Remote) {
				open++
				most = max(most, open)
				r.OnClose(func() { open-- })
				r.OnReceive(func(b []byte) { got = append(got, string(b)) })
				r.Accept(time.Millisecond)
			})
			over := false
			v.Begin(probes.Endpoint{Addr: to.Addr(), Port: to.Port(), Transport: probes.TCP}, c.known,
				func(probes.Observation) { over = true })
			loop.Run()
			if d := cmp.Diff(c.want, got); d != "" || !over {
				t.Errorf("over: %v; sent:\n%s", over, d)
			}
			if careful := most == 1; careful != c.how.careful {
				t.Errorf("%d connections at once", most)
			}
			done := make(chan struct{})
			go func() { vs.close(); close(done) }()
			for {
				select {
				case <-done:
					return
				default:
					loop.Run()
				}
			}
		})
	}
}
