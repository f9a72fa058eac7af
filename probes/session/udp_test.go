package session

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// serveUDP answers each datagram with what reply gives; nil sends nothing.
func serveUDP(t *testing.T, reply func(n int, request string) []byte) *server {
	t.Helper()
	n := 0
	var mu sync.Mutex
	return serve(t, func(_ *server, c net.Conn) {
		buf := make([]byte, 2048)
		for {
			size, err := c.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			out := reply(n, string(buf[:size]))
			n++
			mu.Unlock()
			if out != nil {
				c.Write(out)
			}
		}
	})
}

// udpEndpoint is the server's port as a UDP one.
func udpEndpoint(s *server) probes.Endpoint {
	ep := endpoint(s)
	ep.Transport = probes.UDP
	return ep
}

// loadSlow gives a database whose UDP probes wait long enough for one retry.
func loadSlow(t *testing.T, port uint16) *probes.Database {
	return load(t, strings.ReplaceAll(testDatabase, "totalwaitms 900", "totalwaitms 1500"), port, false)
}

func TestUDP(t *testing.T) {
	tests := []struct {
		name   string
		reply  func(n int, request string) []byte
		known  Remembered
		want   summary
		probes int
	}{
		{
			name:   "answers",
			reply:  func(_ int, r string) []byte { return []byte("echo 7!") },
			want:   summary{probes.OutcomeAnswered, probes.Hard, "echo", "Echo", "7", "Echo", "", probes.Open},
			probes: 1,
		},
		{
			name: "second probe",
			reply: func(_ int, r string) []byte {
				if r == "other?" {
					return []byte("other")
				}
				return nil
			},
			want:   summary{probes.OutcomeAnswered, probes.Hard, "other", "Other", "", "Other", "", probes.Open},
			probes: 2,
		},
		{
			name: "remembered probe alone",
			reply: func(_ int, r string) []byte {
				if r == "other?" {
					return []byte("other")
				}
				return []byte("unexpected")
			},
			known:  Remembered{Probe: "Other"},
			want:   summary{probes.OutcomeAnswered, probes.Hard, "other", "Other", "", "Other", "", probes.Open},
			probes: 1,
		},
		{
			name: "first datagram lost",
			reply: func(n int, r string) []byte {
				if n == 0 {
					return nil
				}
				return []byte("echo 8!")
			},
			want:   summary{probes.OutcomeAnswered, probes.Hard, "echo", "Echo", "8", "Echo", "", probes.Open},
			probes: 1,
		},
		{
			name:   "unknown answer",
			reply:  func(_ int, r string) []byte { return []byte{0xff} },
			want:   summary{Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched, State: probes.Open},
			probes: 2,
		},
		{
			name:   "answered discovery",
			known:  Remembered{Heard: &Heard{Sent: []byte("echo?"), Answer: []byte("echo 6!")}},
			want:   summary{probes.OutcomeAnswered, probes.Hard, "echo", "Echo", "6", "Echo", "", probes.Open},
			probes: 0,
		},
		{
			name:   "answered discovery with what says nothing",
			reply:  func(_ int, r string) []byte { return []byte("echo 7!") },
			known:  Remembered{Heard: &Heard{Sent: []byte("echo?"), Answer: []byte{0xff}}},
			want:   summary{probes.OutcomeAnswered, probes.Hard, "echo", "Echo", "7", "Echo", "", probes.Open},
			probes: 1,
		},
		{
			name:   "answered discovery to what no probe sends",
			reply:  func(_ int, r string) []byte { return []byte("echo 7!") },
			known:  Remembered{Heard: &Heard{Sent: []byte("none?"), Answer: []byte("echo 6!")}},
			want:   summary{probes.OutcomeAnswered, probes.Hard, "echo", "Echo", "7", "Echo", "", probes.Open},
			probes: 1,
		},
		{
			name:   "silent",
			reply:  func(int, string) []byte { return nil },
			want:   summary{Outcome: probes.OutcomeSilent, Strength: probes.Unmatched, State: probes.OpenOrFiltered},
			probes: 2,
		},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			s := serveUDP(t, tt.reply)
			db := loadSlow(t, s.addr.Port())
			o := newProber(t, s, db, quick()).Visit(t.Context(), udpEndpoint(s), tt.known)
			if diff := cmp.Diff(tt.want, summarize(o)); diff != "" {
				t.Error(diff)
			}
			if o.Cost.Probes != tt.probes {
				t.Errorf("%d probes, want %d", o.Cost.Probes, tt.probes)
			}
		})
	}
}

func TestUDPRefused(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := c.LocalAddr().(*net.UDPAddr).AddrPort()
	c.Close()
	db := load(t, testDatabase, addr.Port(), false)
	ep := probes.Endpoint{Addr: addr.Addr(), Port: addr.Port(), Transport: probes.UDP}
	o := newProber(t, nil, db, quick()).Visit(t.Context(), ep, Remembered{})
	want := summary{Outcome: probes.OutcomeRefused, Strength: probes.Unmatched, State: probes.Closed}
	if diff := cmp.Diff(want, summarize(o)); diff != "" || o.Reason != "port-unreach" {
		t.Error(diff, o.Reason)
	}
}

func TestUDPRetriesArePacedAndCounted(t *testing.T) {
	synctest.Test(t, udpRetriesArePacedAndCounted)
}

func udpRetriesArePacedAndCounted(t *testing.T) {
	s := serveUDP(t, func(int, string) []byte { return nil })
	settings := quick()
	settings.MaxProbes = 1
	calls := 0
	p, err := newDialProber(dialConfig{
		Database: loadSlow(t, s.addr.Port()), Settings: settings, Dialer: s.dialer,
		Pace: func(context.Context, netip.AddrPort) error { calls++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	o := p.Visit(t.Context(), udpEndpoint(s), Remembered{})
	// 0 s and 1 s; the third at 3 s is past the probe's 1.5 s.
	if calls != 2 || o.Cost.BytesOut != 2*len("echo?") || time.Since(start) > 1600*time.Millisecond {
		t.Errorf("%d sends, %d bytes, %v", calls, o.Cost.BytesOut, time.Since(start))
	}
}

// One exchange over a real socket: what the tests in memory take for granted.
func TestUDPOnLoopback(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort([]byte("echo 9!"), from)
		}
	})
	defer wg.Wait()
	defer c.Close()
	addr := c.LocalAddr().(*net.UDPAddr).AddrPort()
	ep := probes.Endpoint{Addr: addr.Addr(), Port: addr.Port(), Transport: probes.UDP}
	o := newProber(t, nil, load(t, testDatabase, ep.Port, false), quick()).Visit(t.Context(), ep, Remembered{})
	if o.Version != "9" || o.Cost.Probes != 1 {
		t.Errorf("%+v", summarize(o))
	}
}

// An ICMP error that comes beside an answer does not hide it: the kernel tells
// of errors first.
func TestUDPErrorBesideAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			s.request(c)
			c.Write([]byte("echo 4!"))
			c.(*lanConn).peer.change(func() { c.(*lanConn).peer.pending = syscall.ECONNREFUSED })
			drain(c)
		})
		db := load(t, testDatabase, s.addr.Port(), false)
		o := newProber(t, s, db, quick()).Visit(t.Context(), udpEndpoint(s), Remembered{})
		if o.Version != "4" || o.State != probes.Open {
			t.Errorf("%+v", summarize(o))
		}
	})
}

// A router that tells us the size of the path has dropped a probe, no more.
func TestUDPProbeTooLongForThePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			s.request(c)
			c.(*lanConn).peer.change(func() { c.(*lanConn).peer.pending = syscall.EMSGSIZE })
			if s.request(c) == "echo?" {
				c.Write([]byte("echo 4!"))
			}
			drain(c)
		})
		o := newProber(t, s, loadSlow(t, s.addr.Port()), quick()).Visit(t.Context(), udpEndpoint(s), Remembered{})
		if o.Version != "4" {
			t.Errorf("%+v, %q", summarize(o), o.Errors)
		}
	})
}

// A datagram without a byte is an answer: somebody is there.
func TestUDPEmptyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			s.request(c)
			c.Write(nil)
			drain(c)
		})
		db := load(t, testDatabase, s.addr.Port(), false)
		o := newProber(t, s, db, quick()).Visit(t.Context(), udpEndpoint(s), Remembered{})
		want := summary{Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched, State: probes.Open}
		if diff := cmp.Diff(want, summarize(o)); diff != "" {
			t.Error(diff)
		}
		if o.Cost.BytesOut != len("echo?")+len("other?") {
			t.Errorf("asked again though answered: %d bytes", o.Cost.BytesOut)
		}
	})
}

// A remembered probe that nobody answered is not asked again on the ladder.
func TestUDPSilentProbeIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveUDP(t, func(_ int, r string) []byte {
			if r == "other?" {
				return []byte("other")
			}
			return nil
		})
		db := load(t, testDatabase, s.addr.Port(), false)
		o := newProber(t, s, db, quick()).Visit(t.Context(), udpEndpoint(s), Remembered{Probe: "Echo"})
		if o.Product != "Other" || o.Cost.Probes != 2 {
			t.Errorf("%+v, cost %+v", summarize(o), o.Cost)
		}
	})
}
