//go:build linux && integration

package onlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/capturetest"
	"sonde/capture/route"
)

// realFinder is a finder in the sensor's namespace.
func realFinder(t *testing.T, p *capturetest.Pair) (*Finder, *route.Table) {
	t.Helper()
	table := openIn(t, p.Sensor)
	f := New(Config{Routes: table, Retry: 300 * time.Millisecond,
		Open: func(l route.Interface) (port Port, err error) {
			err = p.Sensor.Enter(func() error {
				port, err = OpenLink(l)
				return err
			})
			return port, err
		}})
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, table
}

func sweepOf(t *testing.T, f *Finder, addrs addresses) (map[string]Host, Stats) {
	t.Helper()
	got := map[string]Host{}
	stats, err := f.Sweep(t.Context(), "", capture.Plan{Addrs: addrs, Seed: 9}, func(h Host) { got[h.Addr.String()] = h })
	if err != nil {
		t.Fatal(err)
	}
	return got, stats
}

func TestRealARPSweep(t *testing.T) {
	p := capturetest.NewPair(t)
	p.OnLink(t)
	alive := netip.MustParsePrefix("198.18.4.64/26")
	capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: []netip.Prefix{alive}})
	f, table := realFinder(t, p)
	before, err := table.Neighborhood(false)
	if err != nil {
		t.Fatal(err)
	}
	record := capturetest.Record(t, p.Near)
	began := time.Now()
	got, stats := sweepOf(t, f, list("198.18.0.0", 16384))
	took := time.Since(began)
	mac := p.Far.MAC(t)
	for a, h := range got {
		if !alive.Contains(h.Addr) || h.MAC != mac || h.Reason != "arp-response" {
			t.Errorf("%s: %+v", a, h)
		}
	}
	if len(got) != 64 || stats.Alive != 64 || stats.Targets != 16384 {
		t.Errorf("%d found, %+v", len(got), stats)
	}
	neighbors, err := table.Neighbors(0)
	if err != nil || len(neighbors) > 2 {
		t.Errorf("the kernel's table has %d neighbours of ours, %v", len(neighbors), err)
	}
	after, _ := table.Neighborhood(false)
	if after.Fulls != before.Fulls {
		t.Errorf("the kernel's table was full")
	}
	for class, n := range capturetest.Count(record.Frames()) {
		if class != capturetest.ClassARP && class != capturetest.ClassGroups && class != capturetest.ClassND {
			t.Errorf("%d frames of class %s", n, class)
		}
	}
	t.Logf("%d requests in %v", stats.Sent, took.Round(time.Millisecond))
}

func TestRealIPv6(t *testing.T) {
	p := capturetest.NewPair(t)
	p.OnLink(t)
	p.Far.Address(t, "2001:db8:18::5/64")
	p.Near.Address(t, "2001:db8:18::1/64")
	f, table := realFinder(t, p)
	got, _ := sweepOf(t, f, list("2001:db8:18::2", 10))
	if h := got["2001:db8:18::5"]; len(got) != 1 || h.MAC != p.Far.MAC(t) || h.Reason != "nd-response" {
		t.Errorf("swept: %+v", got)
	}
	var seen []string
	stats, err := f.Discover(t.Context(), p.Near.Name, nil, func(h Host) { seen = append(seen, h.Addr.String()) })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2001:db8:18::5", capturetest.Target6.String()} {
		if !slices.Contains(seen, want) {
			t.Errorf("%s was not discovered: %v", want, seen)
		}
	}
	if !slices.ContainsFunc(seen, func(a string) bool { return netip.MustParseAddr(a).IsLinkLocalUnicast() }) {
		t.Errorf("no link-local address was discovered: %v", seen)
	}
	list, err := table.Neighbors(0)
	t.Logf("discovered %v, %+v; the kernel has %d neighbours, %v", seen, stats, len(list), err)
}

func TestRealEcho(t *testing.T) {
	r := capturetest.NewRouted(t)
	alive := netip.MustParsePrefix("198.18.7.0/28")
	alive6 := netip.MustParsePrefix("2001:db8:18::10/124")
	capturetest.Serve(t, r.Target, capturetest.Hosts{Prefixes: []netip.Prefix{alive, alive6}})
	f, _ := realFinder(t, &r.Pair)
	targets := slices.Concat(list("198.18.7.0", 64), addresses{capturetest.Target4, netip.MustParseAddr("198.19.0.99")},
		list("2001:db8:18::", 64), addresses{capturetest.Target6})
	slices.SortFunc(targets, netip.Addr.Compare)
	n, routed := 0, 0
	stats, err := f.Echo(t.Context(), "", capture.Plan{Addrs: targets}, func(h Host) {
		n++
		if alive.Contains(h.Addr) || alive6.Contains(h.Addr) {
			routed++
		} else if h.Addr != capturetest.Target4 && h.Addr != capturetest.Target6 {
			t.Errorf("invented: %+v", h)
		}
	})
	if err != nil || n != 34 || routed != 32 {
		t.Errorf("%d found, %d of them behind the router, %+v, %v", n, routed, stats, err)
	}
}

func TestRealEchoOverTun(t *testing.T) {
	ns := capturetest.NewNamespace(t)
	answering := netip.MustParseAddr("198.18.0.7").As4()
	capturetest.NewTun(t, ns, "tun0", func(b []byte) []byte {
		if len(b) < 28 || b[0] != 0x45 || b[9] != 1 || b[20] != 8 || [4]byte(b[16:20]) != answering {
			return nil
		}
		out := slices.Clone(b)
		copy(out[12:], b[16:20])
		copy(out[16:], b[12:16])
		out[20] = 0
		sum := uint32(out[22])<<8 + uint32(out[23]) + 0x0800
		sum = sum&0xffff + sum>>16
		out[22], out[23] = byte(sum>>8), byte(sum)
		return out
	})
	ns.IP(t, "address", "add", "198.19.0.1/32", "dev", "tun0")
	ns.IP(t, "route", "add", "198.18.0.0/24", "dev", "tun0")
	f, _ := realFinder(t, &capturetest.Pair{Sensor: ns})
	var got []string
	if _, err := f.Echo(t.Context(), "", capture.Plan{Addrs: list("198.18.0.0", 16)}, func(h Host) {
		got = append(got, fmt.Sprint(h.Addr, h.MAC))
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"198.18.0.7 [0 0 0 0 0 0]"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The interface goes down and up again during a sweep, which ends complete.
func TestRealSweepThroughDownAndUp(t *testing.T) {
	p := capturetest.NewPair(t)
	p.OnLink(t)
	alive := netip.MustParsePrefix("198.18.1.0/24")
	capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: []netip.Prefix{alive}})
	f, _ := realFinder(t, p)
	n := 0
	f.cfg.Wait = func(ctx context.Context, _ netip.Addr) error {
		if n++; n == 100 {
			p.Near.Down(t)
			time.AfterFunc(time.Second, func() {
				p.Near.Up(t)
				p.OnLink(t)
			})
		}
		return ctx.Err()
	}
	found := 0
	stats, err := f.Sweep(t.Context(), p.Near.Name, capture.Plan{Addrs: list("198.18.1.0", 256)}, func(Host) { found++ })
	if err != nil || found != 256 || stats.Lost == 0 {
		t.Errorf("%d of 256 found, %+v: %v", found, stats, err)
	}
}

func TestRealResolve(t *testing.T) {
	p := capturetest.NewPair(t)
	p.Via(t)
	f, table := realFinder(t, p)
	hop := func(a string) route.Hop {
		h, err := table.Hop(netip.MustParseAddr(a), "")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, a := range []string{"198.18.3.3", "2001:db8:18::3"} {
		if mac, err := f.Resolve(t.Context(), hop(a)); err != nil || mac != p.Far.MAC(t) {
			t.Errorf("%s: %x, %v", a, mac, err)
		}
	}
	if _, err := f.Resolve(t.Context(), hop("198.19.0.77")); !errors.Is(err, ErrUnresolved) {
		t.Errorf("nobody: %v", err)
	}
	// The router is replaced by one with another address.
	h := hop("198.18.3.3")
	p.Far.In.IP(t, "link", "set", p.Far.Name, "address", "02:00:00:00:aa:01")
	deadline := time.Now().Add(3 * routerAge)
	for {
		mac, ok := f.Lookup(h)
		if ok && mac == [6]byte{2, 0, 0, 0, 0xaa, 1} {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the new address was not noticed: %x, %v", mac, ok)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestRealSweepOverVLAN(t *testing.T) {
	p, _, _ := capturetest.NewTrunk(t)
	p.OnLink(t)
	capturetest.Serve(t, p.Target, capturetest.Hosts{Prefixes: []netip.Prefix{netip.MustParsePrefix("198.18.1.0/28")}})
	f, _ := realFinder(t, p)
	if got, stats := sweepOf(t, f, list("198.18.1.0", 32)); len(got) != 16 {
		t.Errorf("%d of 16 found, %+v", len(got), stats)
	}
}
