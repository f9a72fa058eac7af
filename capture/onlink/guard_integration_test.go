//go:build linux && integration

package onlink

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sonde/capture"
	"sonde/capture/capturetest"
	"sonde/capture/route"
)

func TestMain(m *testing.M) {
	roles := map[string]capturetest.Role{"connect": connectRole}
	if os.Getenv("SONDE_CAPTURETEST_ROLE") != "" {
		os.Exit(capturetest.Main(m, roles))
	}
	goleak.VerifyTestMain(m)
}

// A connectSpec is a connect sweep in a process of its own, as its sockets must
// all be in the namespace.
type connectSpec struct {
	Addrs []netip.Addr
	Ports []uint16
	Tries int
}

type connectResult struct {
	Replies map[string]string // address and port: kind, and reason
	Stats   capture.Stats
	Took    time.Duration
}

type addrList []netip.Addr

func (l addrList) Len() uint64            { return uint64(len(l)) }
func (l addrList) At(i uint64) netip.Addr { return l[i] }
func (l addrList) Index(a netip.Addr) (uint64, bool) {
	for i, b := range l {
		if a == b {
			return uint64(i), true
		}
	}
	return 0, false
}

func connectRole(ctx context.Context, js json.RawMessage, tell func(any) error) error {
	var spec connectSpec
	if err := json.Unmarshal(js, &spec); err != nil {
		return err
	}
	table, err := route.Open(nil)
	if err != nil {
		return err
	}
	defer table.Close()
	c := capture.NewConnect(capture.Config{Concurrency: 500, Timeout: time.Second, Tries: spec.Tries,
		Guard: capture.NewGuard(Kernel{Routes: table})})
	r := connectResult{Replies: map[string]string{}}
	began := time.Now()
	r.Stats, err = c.Sweep(ctx, capture.Plan{Network: capture.TCP, Addrs: addrList(spec.Addrs),
		Ports: spec.Ports, Seed: 7}, func(reply capture.Reply) {
		r.Replies[reply.Addr.String()] = string(reply.Kind) + " " + reply.Reason
	})
	r.Took = time.Since(began)
	if err != nil {
		return err
	}
	return tell(r)
}

// connectFrom runs a connect sweep in a namespace.
func connectFrom(t *testing.T, ns *capturetest.Namespace, spec connectSpec) (r connectResult) {
	t.Helper()
	p := ns.Start(t, "connect", spec)
	if !p.Next(t, &r, 5*time.Minute) {
		t.Fatal("the sweep ended without a result")
	}
	p.Stop(t)
	return r
}

func openIn(t *testing.T, ns *capturetest.Namespace) *route.Table {
	t.Helper()
	var table *route.Table
	ns.Do(t, func() (err error) {
		table, err = route.Open(nil)
		return err
	})
	t.Cleanup(func() { _ = table.Close() })
	return table
}

// sequence gives n addresses from the first one on.
func sequence(first netip.Addr, n int) (list []netip.Addr) {
	for ; n > 0; n-- {
		list = append(list, first)
		first = first.Next()
	}
	return list
}

// unresolved counts the neighbours that the kernel asks for. A dump is not taken
// at one moment: those that are in two dumps were asked for between them.
func unresolved(table *route.Table) (n int) {
	var before map[netip.Addr]bool
	for range 2 {
		list, err := table.Neighbors(0)
		if err != nil {
			return 0
		}
		now := map[netip.Addr]bool{}
		n = 0
		for _, e := range list {
			if e.State == route.Incomplete {
				now[e.Addr] = true
				if before[e.Addr] {
					n++
				}
			}
		}
		before = now
	}
	return n
}

// 2,500 addresses of the link, of which 64 live: the kernel's table, which the
// whole machine shares, is never full, no address is taken for probed that was
// not, and all that live are found.
func TestConnectNeverFillsTheNeighborTable(t *testing.T) {
	p := capturetest.NewPair(t)
	p.OnLink(t)
	alive := netip.MustParsePrefix("198.18.4.64/26")
	var open []netip.AddrPort
	for _, a := range sequence(alive.Addr(), 64) {
		open = append(open, netip.AddrPortFrom(a, 80))
	}
	capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: []netip.Prefix{alive}, Open: open})
	table := openIn(t, p.Sensor)
	before, err := table.Neighborhood(false)
	if err != nil {
		t.Fatal(err)
	}
	if before.Thresh3 > 2500 {
		t.Logf("gc_thresh3 is %d: the table could not be filled here", before.Thresh3)
	}
	watched := make(chan struct{})
	stop := make(chan struct{})
	most, asking := 0, 0
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			n, err := table.Neighborhood(false)
			if err == nil {
				most = max(most, n.Entries)
			}
			asking = max(asking, unresolved(table))
		}
	}()
	addrs := sequence(netip.MustParseAddr("198.18.0.1"), 2500)
	r := connectFrom(t, p.Sensor, connectSpec{Addrs: addrs, Ports: []uint16{80, 81}, Tries: 2})
	close(stop)
	<-watched
	after, err := table.Neighborhood(false)
	if err != nil {
		t.Fatal(err)
	}
	if after.Fulls != before.Fulls {
		t.Errorf("the table was full %d times", after.Fulls-before.Fulls)
	}
	if asking > before.Thresh2/2 {
		t.Errorf("%d neighbours unresolved at a time, want at most %d", asking, before.Thresh2/2)
	}
	count := map[string]int{}
	for _, a := range addrs {
		want80, want81 := "unreachable no-arp-response", "unreachable no-arp-response"
		if alive.Contains(a) {
			want80, want81 = "accepted syn-ack", "refused conn-refused"
		}
		for _, c := range []struct {
			port uint16
			want string
		}{{80, want80}, {81, want81}} {
			got := r.Replies[netip.AddrPortFrom(a, c.port).String()]
			if count[got]++; got != c.want {
				t.Errorf("%s port %d: %q, want %q", a, c.port, got, c.want)
			}
		}
	}
	t.Logf("5,000 targets in %v, %d sockets: %v; at most %d of %d entries, %d unresolved",
		r.Took.Round(time.Second), r.Stats.Tries, count, most, after.Thresh3, asking)
}

func TestConnectTellsAMissingRouter(t *testing.T) {
	p := capturetest.NewPair(t)
	p.Sensor.IP(t, "route", "add", "198.18.0.0/16", "via", "198.19.0.77")
	r := connectFrom(t, p.Sensor, connectSpec{Addrs: sequence(netip.MustParseAddr("198.18.0.1"), 50), Ports: []uint16{80}, Tries: 2})
	for a, got := range r.Replies {
		if got != "unreachable not-tried: router 198.19.0.77 is not there" {
			t.Errorf("%s: %q", a, got)
		}
	}
	if !r.Stats.Degraded || r.Stats.NotTried != 50 {
		t.Errorf("50 that were not tried: %+v", r.Stats)
	}
}

func TestConnectOverIPv6(t *testing.T) {
	p := capturetest.NewPair(t)
	p.OnLink(t)
	p.Far.Address(t, "2001:db8:18::5/64")
	capturetest.Serve(t, p.Target, capturetest.Hosts{Open: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8:18::5]:80")}})
	r := connectFrom(t, p.Sensor, connectSpec{Addrs: sequence(netip.MustParseAddr("2001:db8:18::1"), 20), Ports: []uint16{80}, Tries: 2})
	for a, got := range r.Replies {
		want := "unreachable no-nd-response"
		if strings.HasPrefix(a, "[2001:db8:18::5]") {
			want = "accepted syn-ack"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
	if len(r.Replies) != 20 {
		t.Errorf("%d replies", len(r.Replies))
	}
}
