package budget

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }

// TestHostsWaitApart: who waits for its host stands in nobody else's way, and
// those of one host come in the order of their asking.
func TestHostsWaitApart(t *testing.T) {
	l := limiter(t, Limits{PacketsPerSecond: 1000, HostPacketsPerSecond: 40,
		Connections: 6, HostConnections: 2, HostNewConnectionsPerSecond: 1}) // 3 visits, 1 per host
	var order []int
	ask := func(host, id int) (release func(), granted bool) {
		return l.Admit(addr(host), func() { order = append(order, id) })
	}
	first, ok := ask(1, 0)
	if !ok {
		t.Fatal("the first visit had to wait")
	}
	var waiting []func()
	for id := 1; id <= 20; id++ {
		release, ok := ask(1, id)
		if ok {
			t.Fatalf("visit %d to a busy host did not wait", id)
		}
		waiting = append(waiting, release)
	}
	other, ok := ask(2, 100)
	if !ok {
		t.Fatal("another host waits behind a busy one")
	}
	waiting[1]() // the third gives up
	first()
	for i, release := range waiting {
		if i != 1 {
			release()
		}
		release()
	}
	want := 0
	for _, id := range order {
		if want++; want == 2 {
			want++
		}
		if id != want {
			t.Fatalf("order %v, want 1 3 4 … 20", order)
		}
	}
	if len(order) != 19 {
		t.Fatalf("%d of 19 had their turn: %v", len(order), order)
	}
	other()
	if l.visits.free != 3 {
		t.Errorf("%d visits free at the end, want 3", l.visits.free)
	}
}

// TestSlotsModel asks and gives back at random, and counts.
func TestSlotsModel(t *testing.T) {
	const hosts, inAll, perHost = 5, 7, 3
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := limiter(t, Limits{PacketsPerSecond: 1, HostPacketsPerSecond: 1,
			Connections: inAll, HostConnections: perHost, HostNewConnectionsPerSecond: 1})
		type use struct {
			host    int
			has     bool
			release func()
		}
		var uses []*use
		running := func(host int) (n int) {
			for _, u := range uses {
				if u.has && (host < 0 || u.host == host) {
					n++
				}
			}
			return n
		}
		check := func() {
			t.Helper()
			if n := running(-1); n > inAll {
				t.Fatalf("seed %d: %d connections", seed, n)
			}
			for h := 1; h < hosts; h++ {
				if n := running(h); n > perHost {
					t.Fatalf("seed %d: %d connections to host %d", seed, n, h)
				}
			}
			for _, u := range uses { // nobody waits for what is free
				if !u.has && running(-1) < inAll && (u.host == 0 || running(u.host) < perHost) {
					t.Fatalf("seed %d: host %d waits with room", seed, u.host)
				}
			}
		}
		for range 300 {
			if r.IntN(5) < 3 {
				u := &use{host: r.IntN(hosts)}
				a := addr(u.host)
				if u.host == 0 {
					a = loopback
				}
				uses = append(uses, u)
				u.release, u.has = l.Connect(a, func() {
					if u.has {
						t.Fatalf("seed %d: told twice", seed)
					}
					u.has = true
				})
			} else if len(uses) > 0 {
				i := r.IntN(len(uses))
				u := uses[i]
				uses = append(uses[:i], uses[i+1:]...)
				u.release()
				u.release()
			}
			check()
		}
		for len(uses) > 0 {
			u := uses[0]
			uses = uses[1:]
			u.release()
			check()
		}
		if n := inUse(l); n != 0 {
			t.Fatalf("seed %d: %d connections left over", seed, n)
		}
		for a, h := range l.hosts {
			if h.users != 0 || h.conns.free != perHost {
				t.Fatalf("seed %d: host %s has %d users, %d free", seed, a, h.users, h.conns.free)
			}
		}
	}
}

// TestPaceGivesBack: a cancelled wait does not delay who asks after it, and the
// host is forgotten.
func TestPaceGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, defaults)
		to := netip.AddrPortFrom(remote, 22)
		if _, ok := l.Pace(to, nil); !ok {
			t.Fatal("the first had to wait")
		}
		began := time.Now()
		cancel, ok := l.Pace(to, func() { t.Error("a cancelled wait was granted") })
		if ok {
			t.Fatal("granted beyond the rate")
		}
		cancel()
		cancel()
		ready := make(chan time.Time, 1)
		done, ok := l.Pace(to, func() { ready <- time.Now() })
		if ok {
			t.Fatal("granted beyond the rate")
		}
		near(t, "the connection after one that gave up", (<-ready).Sub(began), time.Second)
		done()
		if h := l.hosts[remote]; h.users != 0 {
			t.Errorf("%d users of the host are left", h.users)
		}
	})
}

// TestPacedHostsShareFairly: a host with a long queue takes nothing of the rate
// in all before its own allows it.
func TestPacedHostsShareFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Limits{PacketsPerSecond: 2 * ConnPackets, HostPacketsPerSecond: 40,
			Connections: 4, HostConnections: 2, HostNewConnectionsPerSecond: 1})
		for range 100 {
			cancel, _ := l.Pace(netip.AddrPortFrom(remote, 22), func() {})
			defer cancel()
		}
		began := time.Now()
		ready := make(chan time.Duration, 2)
		for i := range 2 { // the burst is used up: one each half a second
			if _, ok := l.Pace(netip.AddrPortFrom(addr(i), 22), func() { ready <- time.Since(began) }); ok {
				t.Fatal("granted beyond the rate in all")
			}
		}
		near(t, "the first of another host", <-ready, time.Second/2)
		near(t, "the second", <-ready, time.Second)
	})
}
