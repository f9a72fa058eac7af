package session

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// serveUDP answers each datagram with what reply gives; nil sends nothing.
func serveUDP(t *testing.T, reply func(n int, request string) []byte) probes.Endpoint {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for n := 0; ; n++ {
			size, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if out := reply(n, string(buf[:size])); out != nil {
				c.WriteToUDPAddrPort(out, from)
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	addr := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return probes.Endpoint{Addr: addr.Addr(), Port: addr.Port(), Transport: probes.UDP}
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
			name:   "silent",
			reply:  func(int, string) []byte { return nil },
			want:   summary{Outcome: probes.OutcomeSilent, Strength: probes.Unmatched, State: probes.OpenOrFiltered},
			probes: 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ep := serveUDP(t, tt.reply)
			o := newProber(t, loadSlow(t, ep.Port), quick()).Visit(t.Context(), ep, tt.known)
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
	o := newProber(t, db, quick()).Visit(t.Context(), ep, Remembered{})
	want := summary{Outcome: probes.OutcomeRefused, Strength: probes.Unmatched, State: probes.Closed}
	if diff := cmp.Diff(want, summarize(o)); diff != "" {
		t.Error(diff)
	}
}

func TestUDPRetriesArePacedAndCounted(t *testing.T) {
	t.Parallel()
	ep := serveUDP(t, func(int, string) []byte { return nil })
	settings := quick()
	settings.MaxProbes = 1
	calls := 0
	p, err := New(Config{
		Database: loadSlow(t, ep.Port), Settings: settings,
		Pace: func(context.Context, netip.AddrPort) error { calls++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	o := p.Visit(t.Context(), ep, Remembered{})
	// 0 s and 1 s; the third at 3 s is past the probe's 1.5 s.
	if calls != 2 || o.Cost.BytesOut != 2*len("echo?") || time.Since(start) > 3*time.Second {
		t.Errorf("%d sends, %d bytes, %v", calls, o.Cost.BytesOut, time.Since(start))
	}
}
