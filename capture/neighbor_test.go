package capture

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeLink is a link on which nobody is, unless alive says so, with a table
// that keeps what failed until it is told to collect.
type fakeLink struct {
	mu       sync.Mutex
	table    NeighborTable
	asking   map[Neighbor]time.Time // when the kernel gives up
	failed   map[Neighbor]bool
	alive    map[netip.Addr]bool
	gateway  netip.Addr // of all addresses, if valid
	most     int        // unresolved at a time
	tableErr error
}

func newFakeLink() *fakeLink {
	return &fakeLink{table: NeighborTable{Collect: 512, Max: 1024}, asking: map[Neighbor]time.Time{},
		failed: map[Neighbor]bool{}, alive: map[netip.Addr]bool{}}
}

func (f *fakeLink) NextHop(a netip.Addr) (Neighbor, bool) {
	if f.gateway.IsValid() {
		a = f.gateway
	}
	return Neighbor{1, a}, !a.IsLoopback()
}

// send is what a packet to n does to the table.
func (f *fakeLink) send(n Neighbor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alive[n.Addr] {
		return
	}
	if _, ok := f.asking[n]; !ok {
		f.asking[n] = time.Now().Add(3 * time.Second)
		if !f.failed[n] {
			f.table.Entries++
		}
		delete(f.failed, n)
	}
	f.most = max(f.most, len(f.asking))
}

func (f *fakeLink) Resolution(n Neighbor) (Resolution, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle()
	_, asking := f.asking[n]
	switch {
	case f.alive[n.Addr]:
		return Resolved, nil
	case asking:
		return Resolving, nil
	case f.failed[n]:
		return Unresolvable, nil
	}
	return Unknown, nil
}

// settle lets time have passed; mu is held.
func (f *fakeLink) settle() {
	for n, until := range f.asking {
		if !time.Now().Before(until) {
			delete(f.asking, n)
			f.failed[n] = true
		}
	}
}

func (f *fakeLink) Await(ctx context.Context, n Neighbor) (Resolution, error) {
	for {
		if s, _ := f.Resolution(n); s != Resolving {
			return s, nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return Resolving, err
		}
	}
}

func (f *fakeLink) Table(bool) (NeighborTable, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle()
	if f.table.Entries > f.table.Collect { // as the kernel does when asked
		f.table.Entries -= len(f.failed)
		clear(f.failed)
	}
	return f.table, f.tableErr
}

func target(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) }

func TestGuardBoundsTheUnresolved(t *testing.T) {
	for _, c := range []struct {
		name    string
		table   NeighborTable
		want    int
		targets int
	}{
		{"half of gc_thresh2", NeighborTable{512, 1024, 0}, 256, 1000},
		{"what is free, and one a second", NeighborTable{512, 1024, 856}, 40 + 4, 200},
		{"a small table", NeighborTable{2, 4, 0}, 1, 20},
		{"a full table", NeighborTable{512, 1024, 1024}, 1, 10},
		{"no reading", NeighborTable{}, limitFallback, 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := newFakeLink()
				link.table = c.table
				if c.table.Max == 0 {
					link.tableErr = errors.New("no netlink")
				}
				g := NewGuard(link)
				var all sync.WaitGroup
				for i := range c.targets {
					all.Go(func() {
						p, err := g.Enter(t.Context(), target(i))
						if err != nil {
							t.Error(err)
							return
						}
						defer p.Leave(false)
						link.send(p.hop)
						if s, err := p.Settle(t.Context()); s != Unresolvable && s != Unknown || err != nil {
							t.Errorf("Settle: %v, %v", s, err)
						}
					})
				}
				all.Wait()
				if link.most > c.want || link.most < c.want/2 {
					t.Errorf("%d were unresolved at a time, want at most %d", link.most, c.want)
				}
				if g.tables[0].held != 0 || len(g.slots) != 0 || len(g.tables[0].waiting) != 0 {
					t.Errorf("left behind: %d held, %d slots, %d waiting", g.tables[0].held, len(g.slots), len(g.tables[0].waiting))
				}
			})
		})
	}
}

// Who leaves without an answer leaves an entry that the kernel still asks for.
func TestGuardCountsWhatWasAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := newFakeLink()
		link.table = NeighborTable{8, 1024, 0}
		g := NewGuard(link)
		for i := range 4 {
			each := g
			if i%2 == 1 {
				each = g.By(link) // by another interface, within the same room
			}
			p, err := each.Enter(t.Context(), target(i))
			if err != nil {
				t.Fatal(err)
			}
			link.send(p.hop)
			p.Leave(false)
		}
		began := time.Now()
		p, err := g.Enter(t.Context(), target(9))
		if err != nil {
			t.Fatal(err)
		}
		p.Leave(true)
		if waited := time.Since(began); waited < 3*time.Second {
			t.Errorf("let in after %v, while 4 entries were being resolved", waited)
		}
	})
}

func TestGuardWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := newFakeLink()
		link.table = NeighborTable{2, 1024, 0}
		g := NewGuard(link)
		first, err := g.Enter(t.Context(), target(1))
		if err != nil {
			t.Fatal(err)
		}
		defer first.Leave(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Enter(ctx, target(2)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Enter: %v", err)
		}
		if again, err := g.Enter(t.Context(), target(1)); err != nil || again.slot != first.slot {
			t.Errorf("a second try of one neighbour has another slot: %v", err)
		} else {
			again.Leave(true)
		}
	})
}

func TestGuardRemembersTheDeadForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := newFakeLink()
		g := NewGuard(link)
		enter := func() *Passage {
			p, err := g.Enter(t.Context(), target(1))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := enter()
		link.send(p.hop)
		if s, err := p.Settle(t.Context()); s != Unresolvable || err != nil {
			t.Fatalf("Settle: %v, %v", s, err)
		}
		p.Leave(false)
		if p := enter(); !p.Dead() || p.absent().Reason != reasonNoARP {
			t.Error("its next port is tried again at once")
		}
		time.Sleep(deadFor)
		if p := enter(); p.Dead() {
			t.Error("dead for ever")
		} else {
			p.Leave(true)
		}
	})
}

func TestGuardLeavesOthersAlone(t *testing.T) {
	link := newFakeLink()
	link.table = NeighborTable{0, 0, 0}
	link.alive[target(1)] = true
	g := NewGuard(link)
	for _, a := range []netip.Addr{netip.IPv6Loopback(), target(1)} {
		p, err := g.Enter(t.Context(), a)
		if err != nil || p.slot != nil {
			t.Errorf("%s needs a slot, or %v", a, err)
		}
		if s, err := p.Settle(t.Context()); s != Resolved || err != nil {
			t.Errorf("%s: %v, %v", a, s, err)
		}
		p.Leave(false)
	}
}

func TestJudge(t *testing.T) {
	a, router := target(1), target(254)
	silent := Reply{Kind: Silent, Reason: reasonSilent}
	unreach := Reply{Kind: Unreachable, Reason: reasonHostUnreach}
	const again, untried = "again", notTried
	for _, c := range []struct {
		name  string
		hop   netip.Addr
		held  bool // the neighbour was not resolved before
		reply Reply
		state Resolution
		want  string
	}{
		{"sent, silent", a, false, silent, Resolved, reasonSilent},
		{"sent, silent, entry collected", a, false, silent, Unknown, reasonSilent},
		{"sent to an old address, silent", a, false, silent, Unresolvable, reasonSilent},
		{"ICMP", a, false, unreach, Resolved, reasonHostUnreach},
		{"old address, gone since", a, false, unreach, Unresolvable, reasonNoARP},
		{"nobody, found after the wait", a, true, silent, Unresolvable, reasonNoARP},
		{"nobody, found by the kernel", a, true, unreach, Unresolvable, reasonNoARP},
		{"nobody, entry collected", a, true, unreach, Unknown, reasonNoARP},
		{"table was full", a, true, silent, Unknown, again},
		{"resolved late", a, true, silent, Resolved, again},
		{"resolved by another try", a, true, unreach, Resolved, again},
		{"resolution has no end", a, true, silent, Resolving, untried},
		{"router missing", router, true, silent, Unresolvable, untried},
		{"router missing, by the kernel", router, true, unreach, Unresolvable, untried},
		{"router's table was full", router, true, silent, Unknown, again},
		{"router's entry is gone", router, true, unreach, Unknown, again},
		{"router says so", router, false, unreach, Resolved, reasonHostUnreach},
		{"behind a router, silent", router, false, silent, Resolved, reasonSilent},
	} {
		p := &Passage{hop: Neighbor{1, c.hop}, addr: a, held: c.held}
		r, more := p.judge(c.reply, c.state)
		got := r.Reason
		if more {
			got = again
		}
		if got != c.want && !(c.want == untried && strings.HasPrefix(got, notTried+": ")) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
