package onlink

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture/frame"
	"sonde/capture/route"
)

func hopTo(t *testing.T, l *lan, a string) route.Hop {
	t.Helper()
	h, err := l.Hop(netip.MustParseAddr(a), "")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.add("198.18.0.254", 54)
		l.deaf[netip.MustParseAddr("198.18.0.254")] = 2
		l.add("2001:db8::fe", 55)
		f := newFinder(t, l)
		h := hopTo(t, l, "198.18.0.254")
		if _, ok := f.Lookup(h); ok {
			t.Error("known before it was asked")
		}
		var all sync.WaitGroup
		for range 20 { // all wait for one asking
			all.Go(func() {
				if mac, err := f.Resolve(t.Context(), h); err != nil || mac[5] != 54 {
					t.Errorf("Resolve: %x, %v", mac, err)
				}
			})
		}
		all.Wait()
		if n := l.asked[h.Next]; n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
		if mac, ok := f.Lookup(h); !ok || mac[5] != 54 {
			t.Errorf("Lookup: %x, %v", mac, ok)
		}
		if mac, err := f.Resolve(t.Context(), hopTo(t, l, "2001:db8::fe")); err != nil || mac[5] != 55 {
			t.Errorf("Resolve of IPv6: %x, %v", mac, err)
		}
	})
}

func TestResolveTellsWhoIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		f := newFinder(t, l)
		h := hopTo(t, l, "198.18.0.253")
		for range 10 {
			if _, err := f.Resolve(t.Context(), h); !errors.Is(err, ErrUnresolved) {
				t.Fatalf("Resolve: %v", err)
			}
		}
		if n := l.asked[h.Next]; n != 3 {
			t.Errorf("asked %d times by ten, want 3", n)
		}
		time.Sleep(deadAge)
		l.add("198.18.0.253", 53)
		if mac, err := f.Resolve(t.Context(), h); err != nil || mac[5] != 53 {
			t.Errorf("it came: %x, %v", mac, err)
		}
	})
}

func TestResolveBeginsWithTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.add("198.18.0.9", 9)
		a := netip.MustParseAddr("198.18.0.9")
		l.kernel = []route.Neighbor{{Link: 7, Addr: a, MAC: [6]byte{2, 0, 0, 0, 1, 8}, State: route.Stale}}
		f := newFinder(t, l)
		h := hopTo(t, l, "198.18.0.9")
		if mac, err := f.Resolve(t.Context(), h); err != nil || mac[5] != 8 {
			t.Fatalf("Resolve: %x, %v", mac, err)
		}
		f.Lookup(h) // it is stale, so it is asked for
		synctest.Wait()
		if mac, ok := f.Lookup(h); !ok || mac[5] != 9 {
			t.Errorf("after asking: %x, %v", mac, ok)
		}
	})
}

// A router that is replaced is noticed when it says so, and else when its age
// is asked for.
func TestAReplacedRouterIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		router := netip.MustParseAddr("198.18.0.254")
		l.add("198.18.0.254", 1)
		l.routers[netip.MustParsePrefix("198.19.0.0/16")] = router
		f := newFinder(t, l)
		h := hopTo(t, l, "198.19.0.1")
		want := func(what string, mac byte) {
			t.Helper()
			synctest.Wait()
			if got, ok := f.Lookup(h); !ok || got[5] != mac {
				t.Errorf("%s: %x, %v, want %d", what, got, ok, mac)
			}
		}
		if _, err := f.Resolve(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		l.inject(arpReply(router, [6]byte{2, 0, 0, 0, 1, 2}, router, frame.Broadcast))
		want("announced", 2)
		l.mu.Lock()
		l.add("198.18.0.254", 3)
		l.mu.Unlock()
		time.Sleep(routerAge)
		f.Lookup(h)
		want("not announced", 3)
		l.mu.Lock()
		delete(l.hosts, router)
		l.mu.Unlock()
		time.Sleep(routerAge)
		want("used while it is asked for", 3)
		time.Sleep(4 * time.Second)
		if mac, ok := f.Lookup(h); ok {
			t.Errorf("gone, and still %x", mac)
		}
	})
}

func TestMemoryOfNeighborsIsBounded(t *testing.T) {
	n := neighbors{byKey: map[key]*neighbor{}}
	s := newStation(newLAN().iface(), nil)
	for i := range maxNeighbors + 1000 {
		a := netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)})
		var p frame.Packet
		if err := p.Decode(frame.Ethernet, arpReply(a, [6]byte{2, 1}, own4, ownMAC)); err != nil {
			t.Fatal(err)
		}
		n.heard(s, &p, time.Now())
	}
	if len(n.byKey) != maxNeighbors {
		t.Errorf("%d remembered, want %d", len(n.byKey), maxNeighbors)
	}
}

func TestCloseEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		f := newFinder(t, l)
		h := hopTo(t, l, "198.18.0.253")
		time.AfterFunc(time.Second/2, func() {
			for range 2 {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		})
		if _, err := f.Resolve(t.Context(), h); err == nil {
			t.Error("resolved by nobody")
		}
		if _, err := f.Resolve(t.Context(), h); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	l := newLAN()
	f := New(Config{Routes: l, Open: l.open})
	h, _ := l.Hop(netip.MustParseAddr("198.18.0.254"), "")
	f.known.byKey[key{7, h.Next}] = &neighbor{mac: [6]byte{2}, verified: time.Now().Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		f.Lookup(h)
	}
}
