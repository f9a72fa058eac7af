//go:build integration && linux

package capturetest

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dial connects from a namespace, and gives what became of it.
func dial(t *testing.T, ns *Namespace, to netip.AddrPort) (err error) {
	t.Helper()
	_ = ns.Enter(func() error {
		// A dialer with one address connects on the calling thread.
		var c net.Conn
		if c, err = net.DialTimeout("tcp", to.String(), time.Second); err == nil {
			c.Close()
		}
		return nil
	})
	return err
}

func serve(t *testing.T, ns *Namespace) (open, closed []netip.AddrPort) {
	t.Helper()
	open = []netip.AddrPort{netip.MustParseAddrPort("198.18.3.4:80"), netip.MustParseAddrPort("198.18.255.255:443"),
		netip.MustParseAddrPort("[2001:db8:18::7]:80")}
	closed = []netip.AddrPort{netip.MustParseAddrPort("198.18.3.4:443"), netip.MustParseAddrPort("198.18.9.9:80"),
		netip.MustParseAddrPort("198.18.9.9:81"), netip.MustParseAddrPort("[2001:db8:18::8]:80")}
	Serve(t, ns, Hosts{Prefixes: []netip.Prefix{Targets4, Targets6}, Open: open, UDP: []uint16{53}})
	return open, closed
}

// On each ground exactly the open pairs take connections, and a datagram is
// answered by the address that was asked.
func TestHosts(t *testing.T) {
	grounds := map[string]func(t *testing.T) *Pair{
		"via": func(t *testing.T) *Pair { p := NewPair(t); p.Via(t); return p },
		"on link": func(t *testing.T) *Pair {
			p := NewPair(t)
			p.OnLink(t)
			for _, a := range []string{"2001:db8:18::7", "2001:db8:18::8", "2001:db8:18::77"} {
				p.Far.Address(t, a+"/128")
			}
			return p
		},
		"routed": func(t *testing.T) *Pair { return &NewRouted(t).Pair },
		"vlan":   func(t *testing.T) *Pair { p, _, _ := NewTrunk(t); p.Via(t); return p },
	}
	for name, ground := range grounds {
		t.Run(name, func(t *testing.T) {
			p := ground(t)
			open, closed := serve(t, p.Target)
			for _, ap := range open {
				if err := dial(t, p.Sensor, ap); err != nil {
					t.Errorf("open: %v", err)
				}
			}
			for _, ap := range closed {
				if err := dial(t, p.Sensor, ap); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("closed %s: %v", ap, err)
				}
			}
			for _, a := range []string{"198.18.77.77", "2001:db8:18::77"} {
				if got, err := ask(p.Sensor, netip.AddrPortFrom(netip.MustParseAddr(a), 53)); got != "got hello" {
					t.Errorf("UDP of %s: %q, %v", a, got, err)
				}
			}
			if _, err := ask(p.Sensor, netip.MustParseAddrPort("198.18.77.77:54")); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("closed UDP port: %v", err)
			}
			if lines := HalfOpen(t, p.Target); len(lines) != 0 {
				t.Errorf("half open: %q", lines)
			}
		})
	}
}

func ask(ns *Namespace, to netip.AddrPort) (got string, err error) {
	err = ns.Enter(func() error {
		c, err := net.Dial("udp", to.String())
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := io.WriteString(c, "hello"); err != nil {
			return err
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		got = string(buf[:n])
		return err
	})
	return got, err
}

// A SYN that no ACK follows leaves a half-open connection, which ss shows.
func TestHalfOpenIsSeen(t *testing.T) {
	p := NewPair(t)
	p.Via(t)
	serve(t, p.Target)
	// A sensor whose firewall drops all input neither answers nor refuses.
	p.Sensor.NFT(t, "table inet f {\nchain in { type filter hook input priority 0; meta l4proto tcp drop; }\n}\n")
	if err := dial(t, p.Sensor, netip.MustParseAddrPort("198.18.3.4:80")); err == nil {
		t.Fatal("connected through a firewall")
	}
	if lines := HalfOpen(t, p.Target); len(lines) != 1 || !strings.Contains(lines[0], "198.18.3.4") {
		t.Errorf("half open: %q", lines)
	}
}

// Loss loses about what it should.
func TestLose(t *testing.T) {
	p := NewPair(t)
	p.Via(t)
	serve(t, p.Target)
	Lose(t, p.Target, 500)
	rec := Record(t, p.Near)
	p.Sensor.Do(t, func() error {
		c, err := net.Dial("udp", "198.18.77.77:53")
		if err != nil {
			return err
		}
		defer c.Close()
		for range 2000 {
			if _, err := io.WriteString(c, "x"); err != nil {
				return err
			}
		}
		return nil
	})
	var asked, answered int
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && answered < 400; {
		asked, answered = 0, 0
		for _, f := range rec.Frames() {
			switch {
			case f.Class() == ClassUDP && f.Outgoing:
				asked++
			case f.Class() == ClassUDP:
				answered++
			}
		}
	}
	if asked != 2000 || answered < 400 || answered > 600 { // a quarter comes back
		t.Errorf("%d asked, %d answered, want 2000 and about 500", asked, answered)
	}
}

// The capture has every frame once, in order, with the right side.
func TestRecord(t *testing.T) {
	p := NewPair(t)
	p.Via(t)
	Blackhole(t, p.Far, Targets4)
	rec := Record(t, p.Far)
	const n = 300_000
	proc := p.Sensor.Start(t, "bare", Bare{Interface: p.Near.Name, SrcMAC: p.Near.MAC(t), DstMAC: p.Far.MAC(t),
		Src: Sensor4, Prefix: Targets4, Port: 80, Packets: n})
	var stats BareStats
	if !proc.Next(t, &stats, time.Minute) || stats.Sent != n {
		t.Fatalf("%+v", stats)
	}
	i := 0
	for _, f := range rec.Received() {
		if f.Class() != ClassSYN {
			continue
		}
		a := f.Dst.As4()
		if want := [2]byte{byte(i >> 8), byte(i)}; [2]byte(a[2:]) != want || f.BadSum {
			t.Fatalf("frame %d is to %s, checksum wrong: %t", i, f.Dst, f.BadSum)
		}
		i++
	}
	if i != n {
		t.Errorf("%d frames of %d", i, n)
	}
	t.Logf("%.0f packets/s, %v each", float64(n)/stats.Took.Seconds(), stats.PerPacket())
}

// The fast responder answers a SYN of the kernel as hosts do.
func TestResponder(t *testing.T) {
	p := NewPair(t)
	p.Via(t)
	r := Responder{Prefix: Targets4, OpenPerMille: 500}
	proc := r.Start(t, p.Far)
	rec := Record(t, p.Near)
	var open, closed int
	for a := netip.MustParseAddr("198.18.7.0"); open+closed < 20; a = a.Next() {
		err := dial(t, p.Sensor, netip.AddrPortFrom(a, 80))
		if r.Open(a, 80) {
			open++
			if err != nil {
				t.Errorf("open %s: %v", a, err)
			}
		} else {
			closed++
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("closed %s: %v", a, err)
			}
		}
	}
	var stats ResponderStats
	proc.Stop(t, &stats)
	if stats.SYNs != uint64(open+closed) || stats.Open != uint64(open) || stats.Dropped != 0 {
		t.Errorf("%d open, %d closed, %+v", open, closed, stats)
	}
	for _, f := range rec.Frames() {
		if f.BadSum || f.Short {
			t.Errorf("%v: wrong checksum or cut", &f)
		}
	}
}

func TestFlood(t *testing.T) {
	p := NewPair(t)
	rec := Record(t, p.Near)
	f := Flood{From: Targets4, To: Sensor4, Low: 50000, High: 50099, PerSecond: 50_000, For: time.Second}
	var stats FloodStats
	proc := f.Start(t, p.Far, p.Near)
	if !proc.Next(t, &stats, 10*time.Second) || stats.PerSecond() < 45_000 {
		t.Errorf("%+v", stats)
	}
	sources := map[netip.Addr]bool{}
	n := 0
	for _, fr := range rec.Received() {
		if fr.Flags != SYN|ACK {
			continue
		}
		n++
		sources[fr.Src] = true
		if fr.DstPort < f.Low || fr.DstPort > f.High || fr.Dst != f.To || fr.BadSum || !Targets4.Contains(fr.Src) {
			t.Fatalf("%v", &fr)
		}
	}
	if uint64(n) != stats.Sent || len(sources) < 20_000 {
		t.Errorf("%d of %d received, %d sources", n, stats.Sent, len(sources))
	}
}

func TestTun(t *testing.T) {
	ns := NewNamespace(t)
	r := Responder{Prefix: Targets4, OpenPerMille: 500}
	d := NewTun(t, ns, "tun0", r.AnswerIP)
	d.Address(t, Sensor4.String()+"/24")
	ns.IP(t, "route", "add", Targets4.String(), "dev", "tun0")
	for a := netip.MustParseAddr("198.18.7.0"); a.As4()[3] < 10; a = a.Next() {
		err := dial(t, ns, netip.AddrPortFrom(a, 80))
		if r.Open(a, 80) != (err == nil) {
			t.Errorf("open %v: %v", r.Open(a, 80), err)
		}
	}
	if n := Count(d.Received())[ClassSYN]; n != 10 {
		t.Errorf("%d SYNs, want 10", n)
	}
	if !slices.Equal(ns.Interfaces(t), []string{"tun0"}) {
		t.Errorf("interfaces %q", ns.Interfaces(t))
	}
}

// The trunk's frames have the tag, and no others are there.
func TestTrunk(t *testing.T) {
	p, _, far := NewTrunk(t)
	p.Via(t)
	open, _ := serve(t, p.Target)
	rec := Record(t, far)
	if err := dial(t, p.Sensor, open[0]); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range rec.Frames() {
		if f.Proto != ProtoTCP {
			continue
		}
		n++
		if f.VLAN != 7 {
			t.Errorf("%v", &f)
		}
	}
	if n < 3 {
		t.Errorf("%d frames", n)
	}
}
