//go:build integration

package passive

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sonde/capture/capturetest"
)

// The watcher runs in a process of its own, in the namespace of the sensor.
func TestMain(m *testing.M) {
	os.Exit(capturetest.Main(m, map[string]capturetest.Role{"watch": watchRole}))
}

// watchSpec is the role's configuration; its scope is 198.18.0.0/15 and
// 2001:db8::/32.
type watchSpec struct {
	Interfaces  []string
	Promiscuous bool
	UDPPorts    []Range
	OwnPorts    Range
	BegunOnly   bool // tell of no others
}

// watchNews is what the role tells: a sighting, or at its end the rest.
type watchNews struct {
	Sighting  Sighting
	Stats     Stats
	Addresses []netip.Addr
	RSS       int // KiB, the most that it was
}

func watchRole(ctx context.Context, spec json.RawMessage, tell func(any) error) error {
	var c watchSpec
	if err := json.Unmarshal(spec, &c); err != nil {
		return err
	}
	w, err := New(Config{
		Interfaces: c.Interfaces, Promiscuous: c.Promiscuous, UDPPorts: c.UDPPorts, OwnPorts: c.OwnPorts,
		Contains: scope("198.18.0.0/15", "2001:db8::/32"),
		Overlaps: netip.MustParsePrefix("198.18.0.0/15").Overlaps,
	})
	if err != nil {
		return err
	}
	before := goleak.IgnoreCurrent()
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { done <- w.Run(ctx, func() { close(ready) }) }()
	for {
		select {
		case <-ready:
			if err := tell(true); err != nil {
				return err
			}
			ready = nil
		case s := <-w.Sightings():
			if !s.Begun && c.BegunOnly {
				continue
			}
			if err := tell(watchNews{Sighting: s}); err != nil {
				return err
			}
		case err := <-done:
			if err != nil {
				return err
			}
			if err := goleak.Find(before); err != nil {
				return err
			}
			rss, err := peakRSS()
			if err != nil {
				return err
			}
			return tell(watchNews{Stats: w.Stats(), Addresses: w.Addresses(), RSS: rss})
		}
	}
}

// peakRSS is the most memory that this process had resident, in KiB.
func peakRSS() (kib int, err error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			_, err := fmt.Sscan(rest, &kib)
			return kib, err
		}
	}
	return 0, fmt.Errorf("no VmHWM")
}

// startWatch runs the watcher in a namespace, and waits until it listens.
func startWatch(t *testing.T, ns *capturetest.Namespace, c watchSpec) *capturetest.Process {
	t.Helper()
	p := ns.Start(t, "watch", c)
	p.Ready(t)
	return p
}

// patience is how long a sighting may take.
const patience = 5 * time.Second

// await waits for a sighting and gives how long it took; others that come
// meanwhile are handed to other, if it is set.
func await(t *testing.T, p *capturetest.Process, want func(Sighting) bool, other func(Sighting)) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < patience {
		var n watchNews
		if !p.Next(t, &n, patience) {
			t.Fatal("the watcher ended")
		}
		if want(n.Sighting) {
			return time.Since(began)
		}
		if other != nil {
			other(n.Sighting)
		}
	}
	t.Fatalf("no sighting within %v", patience)
	return 0
}

func isService(network, addr string, begun bool) func(Sighting) bool {
	return func(s Sighting) bool {
		return s.Network == network && s.AddrPort == netip.MustParseAddrPort(addr) && s.Begun == begun
	}
}

// serve answers TCP and UDP at an address in a namespace until the test ends.
func serve(t *testing.T, ns *capturetest.Namespace, network, addr string) {
	t.Helper()
	ns.Do(t, func() error {
		if network == "udp" {
			c, err := net.ListenPacket(network, addr)
			if err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				b := make([]byte, 1500)
				for {
					n, from, err := c.ReadFrom(b)
					if err != nil {
						return
					}
					_, _ = c.WriteTo(b[:n], from)
				}
			}()
			return nil
		}
		l, err := net.Listen(network, addr)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		return nil
	})
}

// ask is one client's visit, from a port of its own, or any for 0.
func ask(t *testing.T, ns *capturetest.Namespace, network, addr string, port int) {
	t.Helper()
	ns.Do(t, func() error {
		d := net.Dialer{Timeout: 10 * time.Second}
		if port != 0 {
			d.LocalAddr = &net.TCPAddr{Port: port}
		}
		c, err := d.Dial(network, addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if network == "udp" {
			if _, err := c.Write([]byte("hello")); err != nil {
				return err
			}
			if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
				return err
			}
			_, err := c.Read(make([]byte, 100))
			return err
		}
		_, err = io.Copy(io.Discard, c)
		return err
	})
}

// Two hosts speak over a bridge; the sensor listens on one of its ports.
func TestWatchTrafficOfOthers(t *testing.T) {
	server, client, bridge := capturetest.NewNamespace(t), capturetest.NewNamespace(t), capturetest.NewNamespace(t)
	bridge.IP(t, "link", "add", "br0", "type", "bridge")
	bridge.IP(t, "link", "set", "br0", "up")
	for name, ns := range map[string]*capturetest.Namespace{"s": server, "c": client} {
		host := capturetest.Port{In: ns, Name: "eth0"}
		capturetest.Veth(t, host, capturetest.Port{In: bridge, Name: name})
		bridge.IP(t, "link", "set", name, "master", "br0")
		n := map[string]string{"s": "2", "c": "3"}[name]
		host.Address(t, "198.18.0."+n+"/24")
		host.Address(t, "2001:db8::"+n+"/64")
	}
	p := startWatch(t, bridge, watchSpec{Interfaces: []string{"s"}, Promiscuous: true, UDPPorts: []Range{{161, 161}}})
	kinds := map[Kind]int{}
	count := func(s Sighting) { kinds[s.Kind]++ }
	for _, c := range []struct{ network, addr string }{
		{"tcp", "198.18.0.2:8080"}, {"tcp", "[2001:db8::2]:8081"},
		{"udp", "198.18.0.2:161"}, {"udp", "[2001:db8::2]:161"},
	} {
		serve(t, server, c.network, c.addr)
		ask(t, client, c.network, c.addr, 0)
		took := await(t, p, isService(c.network, c.addr, true), count)
		t.Logf("%s %s: told after %v", c.network, c.addr, took)
	}
	if kinds[ARP] == 0 || kinds[ND] == 0 {
		t.Errorf("told %v of hosts, want ARP and ND", kinds)
	}
	var end watchNews
	p.Stop(t, &end)
	if len(end.Addresses) != 2 {
		t.Errorf("addresses %v, want both hosts'", end.Addresses)
	}
	t.Logf("%+v", end.Stats)
}

// What a trunk carries is seen on the trunk itself, as on the port of a mirror.
func TestWatchTaggedTraffic(t *testing.T) {
	pair, near, _ := capturetest.NewTrunk(t)
	p := startWatch(t, pair.Sensor, watchSpec{Interfaces: []string{near.Name}, Promiscuous: true})
	addr := capturetest.Target4.String() + ":80"
	serve(t, pair.Target, "tcp", addr)
	ask(t, pair.Sensor, "tcp", addr, 0)
	// Where the test itself puts the tags on, no capture on the box sees what
	// it sends, so the answer may come alone.
	await(t, p, func(s Sighting) bool {
		s.Begun = false
		return isService("tcp", addr, false)(s)
	}, nil)
}

// Our own sweep's ports are no news on this box, and are on others.
func TestOwnPortsAreNoNews(t *testing.T) {
	pair := capturetest.NewPair(t)
	p := startWatch(t, pair.Sensor, watchSpec{
		Interfaces: []string{"near"}, OwnPorts: Range{61000, 61099}, BegunOnly: true})
	for _, port := range []string{"80", "81"} {
		serve(t, pair.Target, "tcp", capturetest.Target4.String()+":"+port)
		serve(t, pair.Sensor, "tcp", capturetest.Sensor4.String()+":"+port)
	}
	none := func(s Sighting) { t.Errorf("told %+v", s) }
	ask(t, pair.Sensor, "tcp", capturetest.Target4.String()+":80", 61007)
	ask(t, pair.Target, "tcp", capturetest.Sensor4.String()+":80", 61008)
	await(t, p, isService("tcp", capturetest.Sensor4.String()+":80", true), none)
	ask(t, pair.Sensor, "tcp", capturetest.Target4.String()+":81", 61100)
	await(t, p, isService("tcp", capturetest.Target4.String()+":81", true), none)
}

// An interface goes down, comes up, goes away and comes back: what happens
// afterwards is told, without a restart.
func TestWatchSurvivesTheInterface(t *testing.T) {
	pair := capturetest.NewPair(t)
	p := startWatch(t, pair.Sensor, watchSpec{Interfaces: []string{"near"}, BegunOnly: true})
	see := func(port int) {
		t.Helper()
		addr := fmt.Sprintf("%v:%d", capturetest.Sensor4, port)
		serve(t, pair.Sensor, "tcp", addr)
		time.Sleep(2 * reopenAfter) // the watcher may take so long to notice
		ask(t, pair.Target, "tcp", addr, 0)
		await(t, p, isService("tcp", addr, true), nil)
	}
	see(81)
	pair.Near.Down(t)
	time.Sleep(3 * reopenAfter)
	pair.Near.Up(t)
	see(82)
	pair.Sensor.IP(t, "link", "del", "near")
	time.Sleep(3 * reopenAfter)
	capturetest.Veth(t, pair.Near, pair.Far)
	pair.Address(t)
	see(83)
	var end watchNews
	p.Stop(t, &end)
	if end.Stats.Reopened != 2 {
		t.Errorf("%d sockets reopened, want 2", end.Stats.Reopened)
	}
}

// Of SYN-ACKs of the whole scope that nobody asked for, 200,000 a second, few
// are told, memory does not grow, and every real service is told at once.
func TestFloodOfSpoofedAnswers(t *testing.T) {
	pair := capturetest.NewPair(t)
	const rounds, rate = 10, 200_000
	p := startWatch(t, pair.Sensor, watchSpec{Interfaces: []string{"near"}, BegunOnly: true})
	f := capturetest.Flood{From: capturetest.Targets4, To: capturetest.Sensor4,
		Low: 32768, High: 60999, PerSecond: rate, For: rounds * time.Second}.Start(t, pair.Far, pair.Near)
	var worst time.Duration
	for i := range rounds - 1 {
		addr := fmt.Sprintf("%v:%d", capturetest.Sensor4, 2000+i)
		serve(t, pair.Sensor, "tcp", addr)
		ask(t, pair.Target, "tcp", addr, 0)
		worst = max(worst, await(t, p, isService("tcp", addr, true),
			func(s Sighting) { t.Errorf("invented %+v", s) }))
		time.Sleep(500 * time.Millisecond)
	}
	var sent capturetest.FloodStats
	f.Next(t, &sent, time.Minute)
	var end watchNews
	usage := p.Stop(t, &end)
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	st := end.Stats
	t.Logf("flood of %.0f/s: %d told in all, worst %v, peak RSS %d KiB, %v CPU in %v, %.0f ns per frame, %+v",
		sent.PerSecond(), st.Sightings, worst, end.RSS, cpu, sent.Took, float64(cpu)/float64(st.Frames), st)
	// The classes of what comes alone and of hosts, and what we did ourselves.
	most := uint64((sent.Took.Seconds()+2)*tellable(bareShare+hostShare)) + rounds
	if st.Sightings > most {
		t.Errorf("%d told, the limit is %d", st.Sightings, most)
	}
	// 5 MiB of tables, 8 MiB of ring, and Go.
	if end.RSS > 48<<10 {
		t.Errorf("peak RSS %d KiB", end.RSS)
	}
	// What lies in the ring at the end is not looked at any more.
	if float64(st.Frames+st.KernelDropped) < 0.9*float64(sent.Sent) {
		t.Errorf("%d frames and %d drops of %d sent: some are not accounted for", st.Frames, st.KernelDropped, sent.Sent)
	}
}

func tellable(share int) float64 { return float64(perSecond*share) / 100 }
