package sweep

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
)

func tcpPlan(n uint32, ports ...uint16) capture.Plan {
	return capture.Plan{Network: capture.TCP, Addrs: targets(n), Ports: ports, Seed: 5}
}

// checkOpen compares what was told with what is there.
func checkOpen(t *testing.T, p capture.Plan, got map[netip.AddrPort]capture.Reply) {
	t.Helper()
	wrong := 0
	for i := range p.Addrs.Len() {
		for _, port := range p.Ports {
			at := netip.AddrPortFrom(p.Addrs.At(i), port)
			want := isOpen(at.Addr(), port)
			if r := got[at]; (r.Kind == capture.Accepted) != want {
				if wrong++; wrong < 10 {
					t.Errorf("%s: %+v, open is %v", at, r, want)
				}
			}
		}
	}
	for at := range got {
		if _, ok := p.Addrs.Index(at.Addr()); !ok {
			t.Errorf("%s was told and is not in the plan", at)
		}
	}
	if wrong > 0 {
		t.Errorf("%d targets wrong", wrong)
	}
}

// checkResets: each SYN-ACK is ended, and nothing else.
func checkResets(t *testing.T, w *world, got map[netip.AddrPort]capture.Reply) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, r := range got {
		if n := w.resets[at]; (n > 0) != (r.Kind == capture.Accepted) {
			t.Errorf("%s is %s, and got %d resets", at, r.Kind, n)
		}
	}
	for at := range w.resets {
		if got[at].Kind != capture.Accepted {
			t.Errorf("a reset to %s, which is %q", at, got[at].Kind)
		}
	}
}

func TestSweepFindsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = honest
		s := w.sweeper(t, Config{})
		p := tcpPlan(8000, 22, 443) // what comes in at one moment fits
		got, stats := collect(t, s, p)
		checkOpen(t, p, got)
		time.Sleep(2 * resetEvery)
		checkResets(t, w, got)
		if len(got) != 16_000 || stats.Targets != 16_000 || stats.Silent != 0 || stats.Tries != 16_000 ||
			stats.Refused+stats.Accepted != 16_000 || stats.Degraded || stats.Validated != 16_000 {
			t.Errorf("%d told, stats %+v", len(got), stats)
		}
		for _, p := range w.probes() {
			if p.SrcPort < 61000 || p.SrcPort > 61004 || p.SrcPort == 61002 || p.Src != self4 ||
				p.DstMAC != routerMAC || p.Flags != frame.FlagSYN {
				t.Fatalf("probe %+v", p.Packet)
			}
		}
		if got := s.Busy(); got != 0 {
			t.Errorf("the receiver waits: busy for %v", got)
		}
		w.wires[0].busy.Store(int64(time.Minute))
		if got := s.Busy(); got != time.Minute {
			t.Errorf("the receiver hangs: busy for %v", got)
		}
		s.Close()
	})
}

func TestIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = honest
		s := w.sweeper(t, Config{})
		p := capture.Plan{Network: capture.TCP, Addrs: block{netip.MustParseAddr("2001:db8:18::1"), 3000}, Ports: []uint16{22}}
		got, stats := collect(t, s, p)
		checkOpen(t, p, got)
		if len(got) != 3000 || stats.Accepted == 0 {
			t.Errorf("%d told, stats %+v", len(got), stats)
		}
		s.Close()
	})
}

// Loss in the network is made up for by tries; the open ports of hosts that
// are silent elsewhere are all found.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		lost := randomly(0.1, 1) // 5 % each way
		w.answer = func(p *frame.Packet, n int) []fakeAnswer {
			if lost() {
				return nil
			}
			return firewalled(p, n)
		}
		s := w.sweeper(t, Config{Tries: 6, Pace: NewRate(1000)})
		p := tcpPlan(65_536, 80)
		began := time.Now()
		got, stats := collect(t, s, p)
		checkOpen(t, p, got)
		if stats.Degraded || stats.Silent != 65_536-stats.Accepted || stats.Tries < 6*stats.Silent {
			t.Errorf("stats %+v", stats)
		}
		if d := time.Since(began); d > 410*time.Second {
			t.Errorf("%d packets took %s at 1,000/s", stats.Sent, d)
		}
		s.Close()
	})
}

// What the kernel drops on receipt is asked again, and does not count as a try.
func TestDropsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = honest
		drop := 3000 // of 5,000 answers
		w.lossy = func() bool { drop--; return drop >= 0 }
		s := w.sweeper(t, Config{Tries: 1})
		p := tcpPlan(5000, 80)
		got, stats := collect(t, s, p)
		checkOpen(t, p, got)
		if len(got) != 5000 || stats.Degraded || stats.Repeated == 0 || stats.Dropped != 3000 {
			t.Errorf("%d told, stats %+v", len(got), stats)
		}
		w.mu.Lock()
		w.lossy = randomly(0.9, 3) // for ever
		w.mu.Unlock()
		_, stats = collect(t, s, p)
		if !stats.Degraded {
			t.Errorf("a sweep that lost answers to the end is not degraded: %+v", stats)
		}
		s.Close()
	})
}

// Answers that nobody asked for are told to nobody.
func TestSpoofed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		other := netip.MustParseAddr("203.0.113.9")
		w.answer = func(p *frame.Packet, _ int) []fakeAnswer {
			synack := uint8(frame.FlagSYN | frame.FlagACK)
			return []fakeAnswer{
				{flags: synack, seqOffset: 1},                             // wrong cookie
				{flags: synack, src: other},                               // not in the plan
				{flags: synack, src: p.Dst.Next()},                        // another one's cookie
				{flags: frame.FlagRST},                                    // acknowledges nothing
				{flags: frame.FlagRST | frame.FlagACK, seqOffset: 0xffff}, // wrong cookie
				{flags: frame.FlagACK},                                    // an old connection
				{icmp: true, code: 1, from: router, seqOffset: 7},         // quotes what was not sent
				{udp: true, payload: []byte("x")},                         // nothing was sent by UDP
				{flags: frame.FlagSYN},                                    // wants a connection with us
			}
		}
		s := w.sweeper(t, Config{})
		got, stats := collect(t, s, tcpPlan(500, 80))
		if len(got) != 0 || stats.Silent != 500 || stats.Spoofed != 500*2*9 || len(w.resets) != 0 {
			t.Errorf("%d told, %d resets, stats %+v", len(got), len(w.resets), stats)
		}
		s.Close()
	})
}

// A target is told once, however often it answers, and each SYN-ACK is reset.
func TestDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = func(p *frame.Packet, _ int) []fakeAnswer {
			a := fakeAnswer{flags: frame.FlagSYN | frame.FlagACK}
			b, c := a, a
			b.after, c.after = 100*time.Millisecond, 10*time.Second // after the sweep
			if p.DstPort == 81 {
				return nil // so that the sweep goes on
			}
			return []fakeAnswer{a, b, {flags: frame.FlagRST | frame.FlagACK, after: time.Millisecond}, c}
		}
		s := w.sweeper(t, Config{})
		got, stats := collect(t, s, tcpPlan(100, 80, 81))
		if len(got) != 100 || stats.Accepted != 100 || stats.Duplicates != 200 {
			t.Errorf("%d told, stats %+v", len(got), stats)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for at, n := range w.resets {
			if n != 3 {
				t.Errorf("%s got %d resets for 3 SYN-ACKs", at, n)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.outlets) != 0 || len(*s.runs.Load()) != 0 {
			t.Errorf("%d outlets and %d runs are kept for ever", len(s.outlets), len(*s.runs.Load()))
		}
		s.Close()
	})
}

func TestICMP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = func(p *frame.Packet, _ int) []fakeAnswer {
			return []fakeAnswer{{icmp: true, from: router, code: uint8(p.DstPort)}}
		}
		s := w.sweeper(t, Config{Tries: 1})
		p := tcpPlan(1, 1, 2, 3, 4, 13)
		p.Ports = append(p.Ports, 0x100) // code 0
		got, _ := collect(t, s, p)
		a := p.Addrs.At(0)
		for port, want := range map[uint16]string{1: "host-unreach", 2: "proto-unreach", 3: "port-unreach",
			4: "", 13: "admin-prohibited", 0x100: "net-unreach"} {
			r := got[netip.AddrPortFrom(a, port)]
			if r.Reason != want || want != "" && r.Kind != capture.Unreachable {
				t.Errorf("code %d: %+v, want %q", port, r, want)
			}
		}
		s.Close()
	})
}

func TestUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = func(p *frame.Packet, _ int) []fakeAnswer {
			switch p.DstPort {
			case 53:
				if string(p.Payload) == "second" {
					return []fakeAnswer{{udp: true, payload: []byte("hello")}, {udp: true, payload: []byte("again"), after: 1}}
				}
			case 54:
				return []fakeAnswer{{icmp: true, code: 3}}
			case 55:
				return []fakeAnswer{{icmp: true, code: 3, from: router}}
			case 56: // somebody else answers
				return []fakeAnswer{{udp: true, src: netip.MustParseAddr("198.18.7.7"), payload: []byte("x")}}
			}
			return nil
		}
		s := w.sweeper(t, Config{Payloads: func(port uint16) [][]byte {
			if port == 53 {
				return [][]byte{[]byte("first"), []byte("second")}
			}
			return nil
		}})
		p := capture.Plan{Network: capture.UDP, Addrs: targets(3), Ports: []uint16{53, 54, 55, 56, 57}}
		got, stats := collect(t, s, p)
		for i := range p.Addrs.Len() {
			a := p.Addrs.At(i)
			r := got[netip.AddrPortFrom(a, 53)]
			if r.Kind != capture.Answered || string(r.Payload) != "hello" || string(r.Sent) != "second" {
				t.Errorf("%s port 53: %+v", a, r)
			}
			for port, kind := range map[uint16]capture.Kind{54: capture.Refused, 55: capture.Unreachable, 56: "", 57: ""} {
				if r := got[netip.AddrPortFrom(a, port)]; r.Kind != kind {
					t.Errorf("%s port %d: %+v, want %q", a, port, r, kind)
				}
			}
		}
		// Two datagrams to 53, one to 54 and 55, two to the silent ones.
		if stats.Answered != 3 || stats.Refused != 3 || stats.Unreachable != 3 || stats.Silent != 6 || stats.Tries != 3*(2+1+1+2+2) {
			t.Errorf("stats %+v", stats)
		}
		s.Close()
	})
}

// A transfer of TFTP has a port of its own; its form and the cookie of port 69
// make it an answer. Nothing else is one that comes from another port.
func TestElsewhere(t *testing.T) {
	refusal := []byte("\x00\x05\x00\x01File not found\x00")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = func(p *frame.Packet, _ int) []fakeAnswer {
			switch last := p.Dst.As4()[3]; {
			case last%3 == 0:
				return []fakeAnswer{{udp: true, port: 40000, payload: refusal}}
			case last%3 == 1:
				return []fakeAnswer{{udp: true, port: 40000, payload: []byte("hello")}}
			}
			return []fakeAnswer{{udp: true, port: 40000, payload: refusal, src: netip.MustParseAddr("198.18.7.7")}}
		}
		s := w.sweeper(t, Config{Payloads: func(uint16) [][]byte { return [][]byte{[]byte("file?")} }})
		p := capture.Plan{Network: capture.UDP, Addrs: targets(30), Ports: []uint16{69}}
		got, _ := collect(t, s, p)
		for i := range p.Addrs.Len() {
			a := p.Addrs.At(i)
			r, ok := got[netip.AddrPortFrom(a, 69)]
			if want := a.As4()[3]%3 == 0; ok != want || ok && (r.Kind != capture.Answered || !bytes.Equal(r.Payload, refusal)) {
				t.Errorf("%s port 69: %+v, want an answer: %v", a, r, want)
			}
		}
		p.Ports = []uint16{70} // where nobody is asked for a file
		if got, _ := collect(t, s, p); len(got) != 0 {
			t.Errorf("port 70: %+v", got)
		}
		s.Close()
	})
}

// On a link who does not answer ARP is sent nothing.
func TestOnLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer, w.onLink = honest, true
		w.dead = func(a netip.Addr) bool { return a.As4()[3]%4 != 0 }
		s := w.sweeper(t, Config{})
		p := tcpPlan(1000, 22, 80)
		got, stats := collect(t, s, p)
		for at, r := range got {
			if dead := w.dead(at.Addr()); dead != (r.Reason == "no-arp-response" && r.Kind == capture.Unreachable) {
				t.Errorf("%s: %+v, dead %v", at, r, dead)
			}
		}
		if len(got) != 2000 || stats.Unreachable != 1500 || stats.NotTried != 0 || stats.Degraded || stats.Tries != 500 {
			t.Errorf("%d told, stats %+v", len(got), stats)
		}
		if w.asked != 1000 {
			t.Errorf("%d neighbours were asked for, of 1,000", w.asked)
		}
		s.Close()
	})
}

func TestSkip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.sweeper(t, Config{Hosts: NewHosts(1)})
		p := tcpPlan(100, 1, 2, 3)
		p.Skip = func(a netip.Addr) bool { return a.As4()[3] < 40 }
		_, stats := collect(t, s, p)
		for _, x := range w.probes() {
			if p.Skip(x.Dst) {
				t.Errorf("%s was sent a packet", x.Dst)
			}
		}
		if stats.Targets != 180 || stats.Silent != 180 || stats.Tries != 360 {
			t.Errorf("stats %+v", stats)
		}
		s.Close()
	})
}

// A sweep that was cut short goes on from its last checkpoint, and both
// together miss nothing.
func TestCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = firewalled
		s := w.sweeper(t, Config{Pace: NewRate(1000)})
		p := tcpPlan(30_000, 80)
		got := map[netip.AddrPort]capture.Reply{}
		var at uint64
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		p.Checkpoint = func(n uint64) {
			if n < at {
				t.Errorf("checkpoint %d after %d", n, at)
			}
			at = n
		}
		_, err := s.Sweep(ctx, p, func(r capture.Reply) {
			if order, _ := p.Order(); true { // what is told after the checkpoint is told again
				rank, _ := order.Rank(r.Addr.Addr(), r.Addr.Port())
				if order.Place(rank) < at {
					t.Errorf("%s is told after the checkpoint %d", r.Addr, at)
				}
			}
			got[r.Addr] = r
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v", err)
		}
		if at < 8_000 || at > 25_000 {
			t.Errorf("checkpoint %d after 40 s at 1,000/s", at)
		}
		for k := range got { // the crash: what was told since is forgotten
			order, _ := p.Order()
			if rank, _ := order.Rank(k.Addr(), k.Port()); order.Place(rank) >= at {
				delete(got, k)
			}
		}
		p.From, p.Checkpoint = at, nil
		rest, stats := collect(t, s, p)
		maps.Copy(got, rest)
		checkOpen(t, p, got)
		if stats.Targets != 30_000-at {
			t.Errorf("%d targets from %d on", stats.Targets, at)
		}
		s.Close()
	})
}

// A plan whose Skip waits is paused: nothing is sent meanwhile, answers that are
// on their way are taken and reset, and the rest is asked afterwards, once. It is
// held up in its first round, and in the last.
func TestPause(t *testing.T) {
	for name, from := range map[string]time.Duration{"first round": time.Second, "last round": 6500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.answer = firewalled
				s := w.sweeper(t, Config{Pace: NewRate(1000), Tries: 2})
				p := tcpPlan(5000, 80)
				began, opened := time.Now(), make(chan struct{})
				p.Skip = func(netip.Addr) bool {
					if time.Since(began) >= from {
						<-opened
					}
					return false
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					got, stats := collect(t, s, p)
					checkOpen(t, p, got)
					if stats.Degraded || stats.Targets != 5000 || stats.Tries > 10_000 {
						t.Errorf("stats %+v", stats)
					}
				}()
				time.Sleep(from + time.Second)
				before := len(w.probes())
				time.Sleep(time.Hour)
				if after := len(w.probes()); after != before || before < 900 {
					t.Errorf("%d packets before the pause, %d after", before, after)
				}
				close(opened)
				<-done
				s.Close()
			})
		})
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.sweeper(t, Config{Pace: NewRate(10)})
		done := make(chan error, 1)
		go func() {
			_, err := s.Sweep(t.Context(), tcpPlan(5000, 80), func(capture.Reply) {})
			done <- err
		}()
		time.Sleep(time.Second)
		s.Close()
		s.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v", err)
		}
		if _, err := s.Sweep(t.Context(), tcpPlan(1, 80), nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a sweep after Close: %v", err)
		}
	})
}
