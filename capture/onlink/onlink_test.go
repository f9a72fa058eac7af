package onlink

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

func newFinder(t *testing.T, l *lan) *Finder {
	f := New(Config{Routes: l, Open: l.open})
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func list(first string, n int) (out addresses) {
	for a := netip.MustParseAddr(first); n > 0; n-- {
		out = append(out, a)
		a = a.Next()
	}
	return out
}

type found struct {
	addr   string
	reason string
}

func TestSweepFindsWhoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.add("198.18.0.5", 5)
		l.add("198.18.0.9", 9)
		l.deaf[netip.MustParseAddr("198.18.0.9")] = 2
		l.add("198.18.0.20", 20)
		f := newFinder(t, l)
		waits := map[netip.Addr]int{}
		f.cfg.Wait = func(_ context.Context, a netip.Addr) error { waits[a]++; return nil }
		excluded := netip.MustParseAddr("198.18.0.20")
		var got []found
		stats, err := f.Sweep(t.Context(), "", capture.Plan{Addrs: list("198.18.0.0", 32), Seed: 3,
			Skip: func(a netip.Addr) bool { return a == excluded }}, func(h Host) {
			got = append(got, found{h.Addr.String(), h.Reason})
			if want := l.hosts[h.Addr]; h.MAC != want || h.Link != 7 {
				t.Errorf("%+v, want MAC %x", h, want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, func(a, b found) int { return netip.MustParseAddr(a.addr).Compare(netip.MustParseAddr(b.addr)) })
		want := []found{{"198.18.0.5", "arp-response"}, {"198.18.0.9", "arp-response"}}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		// 30 targets: 28 dead ones three times, .5 once, .9 three times.
		if stats.Targets != 30 || stats.Skipped != 2 || stats.Alive != 2 || stats.Sent != 28*3+1+3 {
			t.Errorf("%+v", stats)
		}
		if l.asked[excluded] != 0 || l.asked[own4] != 0 || waits[excluded] != 0 {
			t.Error("an excluded or own address was asked")
		}
		if waits[netip.MustParseAddr("198.18.0.9")] != 3 {
			t.Errorf("not every request waited for its turn: %v", waits)
		}
	})
}

func TestSweepOfIPv6AndLinkLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.add("2001:db8::5", 5)
		l.add("fe80::9", 9)
		f := newFinder(t, l)
		targets := append(list("2001:db8::2", 10), netip.MustParseAddr("fe80::9%e1"), netip.MustParseAddr("fe80::a%e1"))
		slices.SortFunc(targets, netip.Addr.Compare)
		var got []string
		if _, err := f.Sweep(t.Context(), "e1", capture.Plan{Addrs: targets}, func(h Host) {
			got = append(got, h.Addr.String()+" "+h.Reason)
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if want := []string{"2001:db8::5 nd-response", "fe80::9%e1 nd-response"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// huge is a set of addresses too large to list.
type huge struct {
	n     uint64
	first netip.Addr
}

func (h huge) Len() uint64                     { return h.n }
func (h huge) At(uint64) netip.Addr            { return h.first }
func (h huge) Index(netip.Addr) (uint64, bool) { return 0, false }

func TestNoPrefixOfIPv6IsWalked(t *testing.T) {
	f := newFinder(t, newLAN())
	for _, h := range []huge{{1 << 62, own6}, {maxSweep6 + 1, own6}, {maxSweep4 + 1, own4}} {
		if _, err := f.Sweep(t.Context(), "", capture.Plan{Addrs: h}, nil); !errors.Is(err, ErrTooMany) {
			t.Errorf("%d addresses from %s: %v", h.n, h.first, err)
		}
	}
}

// What is not an answer to us finds nobody.
func TestSweepTakesAnswersOnly(t *testing.T) {
	me, other := ownMAC, [6]byte{2, 0, 0, 0, 9, 9}
	a, b := netip.MustParseAddr("198.18.0.7"), netip.MustParseAddr("2001:db8::7")
	s := newStation(newLAN().iface(), nil)
	for _, c := range []struct {
		name string
		in   []byte
		want bool
	}{
		{"reply", arpReply(a, other, own4, me), true},
		{"reply to another", arpReply(a, other, own4, other), false},
		{"of a group", arpReply(a, [6]byte{3, 0, 0, 0, 0, 1}, own4, me), false},
		{"of nobody", arpReply(a, [6]byte{}, own4, me), false},
		{"of ourselves", arpReply(a, me, own4, me), false},
		{"of no address", arpReply(netip.IPv4Unspecified(), other, own4, me), false},
		{"advertisement", advertisement(b, other, own6, me, true), true},
		{"unasked advertisement", advertisement(b, other, frame.AllNodes, [6]byte{0x33, 0x33, 0, 0, 0, 1}, false), false},
	} {
		var p frame.Packet
		if err := p.Decode(frame.Ethernet, c.in); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, _, ok := answerOf(s, &p); ok != c.want {
			t.Errorf("%s: %v, want %v", c.name, ok, c.want)
		}
	}
}

func TestSweepSurvivesTheLossOfItsInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		for _, a := range list("198.18.1.0", 64) {
			l.hosts[a] = [6]byte{2, 0, 0, 1, 0, a.As4()[3]}
		}
		f := newFinder(t, l)
		n := 0
		f.cfg.Wait = func(ctx context.Context, _ netip.Addr) error {
			if n++; n == 20 {
				l.setDown(true)
				time.AfterFunc(5*time.Second, func() {
					l.mu.Lock()
					l.mac[5] = 77 // it came back as another one
					l.mu.Unlock()
					l.setDown(false)
				})
			}
			return sleep(ctx, time.Millisecond)
		}
		alive := 0
		stats, err := f.Sweep(t.Context(), "", capture.Plan{Addrs: list("198.18.1.0", 64)}, func(Host) { alive++ })
		if err != nil || alive != 64 || stats.Lost != 1 || l.opened != 2 {
			t.Errorf("%d of 64 found, %+v, opened %d times: %v", alive, stats, l.opened, err)
		}
	})
}

// A loss while the answers were waited for makes silence worth nothing.
func TestSilenceDuringALossProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.add("198.18.0.9", 9)
		l.deaf[netip.MustParseAddr("198.18.0.9")] = 3
		f := newFinder(t, l)
		loseIn := func(d time.Duration) {
			time.AfterFunc(d, func() { l.setDown(true) })
			time.AfterFunc(d+100*time.Millisecond, func() { l.setDown(false) })
		}
		loseIn(2500 * time.Millisecond) // while the third and last try waits
		h := hopTo(t, l, "198.18.0.9")
		resolve := func() (alive int, err error) {
			err = Resolver{f}.Resolve(t.Context(), h, []netip.Addr{h.Next}, func(netip.Addr, [6]byte) { alive++ })
			return alive, err
		}
		if alive, err := resolve(); alive != 1 || err != nil {
			t.Errorf("%d found: %v", alive, err)
		}
		asked := l.asked[h.Next]
		l.deaf[h.Next] = 1 << 20
		if alive, err := resolve(); alive != 0 || err != nil || l.asked[h.Next]-asked != 3 {
			t.Errorf("%d found with %d requests after an earlier loss: %v", alive, l.asked[h.Next]-asked, err)
		}

		for i := range 60 {
			loseIn(time.Duration(i)*time.Second + 500*time.Millisecond)
		}
		if alive, err := resolve(); alive != 0 || !errors.Is(err, link.ErrDown) {
			t.Errorf("%d found on what is lost all the time: %v", alive, err)
		}
		time.Sleep(time.Minute) // until the last timer
	})
}

func TestSweepEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.setDown(true)
		l.routers[netip.MustParsePrefix("203.0.113.0/24")] = own4
		f := newFinder(t, l)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		w, err := f.newSweep("", capture.Plan{Addrs: list("198.18.1.0", 1)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = f.transmit(ctx, &w.stats, own4.Next(), "", func(*station, route.Hop) error { return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with its context: %v", err)
		}
		began := time.Now()
		err = f.transmit(t.Context(), &w.stats, own4.Next(), "", func(*station, route.Hop) error { return nil })
		if !errors.Is(err, route.ErrNoRoute) || time.Since(began) < time.Minute || time.Since(began) > 2*time.Minute {
			t.Errorf("after its patience: %v, %v", err, time.Since(began))
		}
	})
}

func TestDiscoverFindsWhoAnswersOrIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.add("fe80::5", 5)      // answers the call
		l.add("2001:db8::5", 5)  // and from this address
		l.add("2001:db8::6", 6)  // does not, but is seen
		l.add("2001:db8::8", 8)  // does not; the kernel knows it
		l.add("2001:db8::99", 9) // neither
		for _, a := range []string{"2001:db8::6", "2001:db8::8", "2001:db8::99"} {
			l.silent[netip.MustParseAddr(a)] = true
		}
		l.kernel = []route.Neighbor{
			{Link: 7, Addr: netip.MustParseAddr("2001:db8::8"), State: route.Stale},
			{Link: 7, Addr: netip.MustParseAddr("2001:db8::77"), State: route.Stale}, // gone since
		}
		f := newFinder(t, l)
		time.AfterFunc(1500*time.Millisecond, func() {
			group := [6]byte{0x33, 0x33, 0, 0, 0, 1}
			l.inject(advertisement(netip.MustParseAddr("2001:db8::6"), [6]byte{2, 0, 0, 0, 1, 6}, frame.AllNodes, group, false))
			l.inject(advertisement(netip.MustParseAddr("2001:db8::bad"), [6]byte{2, 0, 0, 0, 1, 7}, frame.AllNodes, group, false))
			l.inject(advertisement(netip.MustParseAddr("2001:db8:1::1"), [6]byte{2, 0, 0, 0, 1, 7}, frame.AllNodes, group, false))
		})
		var got []string
		stats, err := f.Discover(t.Context(), "e1", nil, func(h Host) { got = append(got, h.Addr.String()) })
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		want := []string{"2001:db8::5", "2001:db8::6", "2001:db8::8", "fe80::5%e1"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if stats.Alive != 4 || stats.Targets != 6 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.add("198.18.0.5", 5)
		l.add("198.18.0.6", 6)
		l.silent[netip.MustParseAddr("198.18.0.6")] = true
		l.add("198.18.0.254", 254) // a router; who is behind it, it answers for
		l.routers[netip.MustParsePrefix("198.19.0.0/24")] = netip.MustParseAddr("198.18.0.254")
		l.silent[netip.MustParseAddr("198.19.0.3")] = true
		l.routers[netip.MustParsePrefix("198.19.9.0/24")] = netip.MustParseAddr("198.18.0.253") // missing
		f := newFinder(t, l)
		targets := slices.Concat(list("198.18.0.4", 4), list("198.19.0.2", 2), list("198.19.9.0", 20))
		var got []string
		began := time.Now()
		stats, err := f.Echo(t.Context(), "", capture.Plan{Addrs: targets}, func(h Host) {
			got = append(got, h.Addr.String()+" "+h.Reason)
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if want := []string{"198.18.0.5 echo-reply", "198.19.0.2 echo-reply"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if stats.Unresolved == 0 || l.asked[netip.MustParseAddr("198.18.0.253")] > 9 {
			t.Errorf("a missing router: %+v, asked %d times", stats, l.asked[netip.MustParseAddr("198.18.0.253")])
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestEchoTakesItsOwnAnswersOnly(t *testing.T) {
	l := newLAN()
	f := newFinder(t, l)
	s := newStation(l.iface(), nil)
	a := netip.MustParseAddr("198.18.0.5")
	forge := func(identity uint32) *frame.Packet {
		return &frame.Packet{Proto: frame.ProtoICMP, Type: frame.ICMPEchoReply, Src: a,
			EchoID: uint16(identity >> 16), EchoSeq: uint16(identity)}
	}
	if _, ok := f.acceptEcho(s, forge(f.identity(a))); !ok {
		t.Error("the answer is not taken")
	}
	for _, id := range []uint32{0, f.identity(a) + 1, f.identity(a.Next())} {
		if _, ok := f.acceptEcho(s, forge(id)); ok {
			t.Errorf("%x is taken", id)
		}
	}
}

func TestSweepGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		f := newFinder(t, l)
		p := capture.Plan{Addrs: list("198.18.1.0", 64), Seed: 5, From: 60}
		stats, err := f.Sweep(t.Context(), "", p, func(Host) {})
		if err != nil || stats.Targets != 4 || stats.Sent != 12 || len(l.asked) != 4 {
			t.Errorf("%+v, asked %d, %v", stats, len(l.asked), err)
		}
	})
}

func TestSweepEndsWhenAllHaveAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		for i, a := range list("198.18.1.0", 64) {
			l.hosts[a] = [6]byte{2, 0, 0, 1, 0, byte(i)}
		}
		f := newFinder(t, l)
		began := time.Now()
		if _, err := f.Sweep(t.Context(), "", capture.Plan{Addrs: list("198.18.1.0", 64)}, func(Host) {}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Sweep(t.Context(), "", capture.Plan{Addrs: list("198.18.1.0", 0)}, func(Host) {}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestResolverFindsMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.add("198.18.0.5", 5)
		l.add("198.18.0.6", 6)
		l.add("203.0.113.1", 113) // a router that no route has on the link
		l.add("fe80::fe", 99)
		f := newFinder(t, l)
		h := hopTo(t, l, "198.18.0.5")
		got := map[string]byte{}
		ask := func(h route.Hop, addrs ...string) {
			t.Helper()
			var list []netip.Addr
			for _, a := range addrs {
				list = append(list, netip.MustParseAddr(a))
			}
			err := Resolver{f}.Resolve(t.Context(), h, list, func(a netip.Addr, mac [6]byte) { got[a.String()] = mac[5] })
			if err != nil {
				t.Fatal(err)
			}
		}
		ask(h, "198.18.0.5", "198.18.0.7", "198.18.0.6", "198.18.0.5", "203.0.113.1")
		h.Src = own6
		ask(h, "fe80::fe")
		want := map[string]byte{"198.18.0.5": 5, "198.18.0.6": 6, "203.0.113.1": 113, "fe80::fe": 99}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
