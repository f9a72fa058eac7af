package budget

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	remote   = netip.MustParseAddr("192.0.2.1")
	loopback = netip.MustParseAddr("127.0.0.1")
)

var defaults = Limits{PacketsPerSecond: 1000, HostPacketsPerSecond: 40,
	Connections: 4, HostConnections: 2, HostNewConnectionsPerSecond: 1}

func limiter(t *testing.T, l Limits) *Limiter {
	t.Helper()
	out, err := New(l)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// inUse is how many connections are open.
func inUse(l *Limiter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits.Connections - l.conns.free
}

// packets sends n packets and gives the time that it took.
func packets(t *testing.T, l *Limiter, n int, to func(i int) netip.Addr) time.Duration {
	t.Helper()
	began := time.Now()
	for i := range n {
		if err := l.Packet(t.Context(), to(i)); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(began)
}

func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want-time.Millisecond || got > want+time.Millisecond {
		t.Errorf("%s took %s, want %s", what, got, want)
	}
}

func TestPacketRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, defaults)
		one := packets(t, l, hostBurst+400, func(int) netip.Addr { return remote })
		near(t, "400 packets to one host above its burst", one, 10*time.Second)

		time.Sleep(time.Minute)
		all := packets(t, l, 50+2000, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) })
		near(t, "2,000 packets to as many hosts above the burst", all, 2*time.Second)

		time.Sleep(time.Minute)
		local := packets(t, l, 50+2000, func(int) netip.Addr { return loopback })
		near(t, "2,000 packets to loopback", local, 0)
	})
}

func TestMappedAddressIsTheSameHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, defaults)
		d := packets(t, l, hostBurst+40, func(i int) netip.Addr {
			if i%2 == 0 {
				return netip.AddrFrom16(remote.As16())
			}
			return remote
		})
		near(t, "40 packets under two spellings", d, time.Second)
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast := defaults
		fast.HostNewConnectionsPerSecond = 100
		for _, tt := range []struct {
			limits Limits
			addr   netip.Addr
			n      int
			want   time.Duration
		}{
			{defaults, remote, 10, 9 * time.Second},                       // one per second
			{fast, remote, 11, 10 * ConnPackets * time.Second / 40},       // packets of the host
			{fast, loopback, 512, 0},                                      // no wire to fill
			{Limits{1, 1, 2, 2, 1}, remote, 2, ConnPackets * time.Second}, // the smallest
		} {
			l := limiter(t, tt.limits)
			began := time.Now()
			for range tt.n {
				if err := waitPace(t.Context(), l, netip.AddrPortFrom(tt.addr, 22)); err != nil {
					t.Fatal(err)
				}
			}
			near(t, "connections to "+tt.addr.String(), time.Since(began), tt.want)
		}
	})
}

func TestPaceAndPacketObeyDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Limits{1, 1, 2, 2, 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		var err error
		for range ConnPackets + 1 {
			err = errors.Join(err, l.Packet(ctx, remote))
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Packet: %v", err)
		}
		if err := waitPace(ctx, l, netip.AddrPortFrom(remote, 22)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Pace: %v", err)
		}
	})
}

// open opens n connections that are not released, and says how many it got.
func open(t *testing.T, l *Limiter, n int, to func(i int) netip.Addr) (releases []func()) {
	t.Helper()
	for i := range n {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		release, err := waitConnect(ctx, l, to(i))
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			continue
		}
		releases = append(releases, release)
	}
	return releases
}

func TestOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, defaults)
		toOne := func(int) netip.Addr { return remote }
		mine := open(t, l, 3, toOne)
		if len(mine) != 2 {
			t.Errorf("%d connections to one host, limit 2", len(mine))
		}
		others := open(t, l, 4, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) })
		if len(others) != 2 {
			t.Errorf("%d more connections, limit 4 in all", len(others))
		}
		if got := open(t, l, 1, func(int) netip.Addr { return loopback }); len(got) != 0 {
			t.Error("loopback is exempt from the limit in all")
		}
		mine[0]()
		mine[0]() // once more does nothing
		again := open(t, l, 3, toOne)
		if len(again) != 1 {
			t.Errorf("%d connections after one was released", len(again))
		}
		for _, release := range append(append(again, others...), mine...) {
			release()
		}
		if n := inUse(l); n != 0 {
			t.Errorf("%d connections left over", n)
		}
	})
}

// Many visits that each hold one connection while they wait for a second all
// come to their end.
func TestVisitsDoNotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Limits{PacketsPerSecond: 1000, HostPacketsPerSecond: 40,
			Connections: 5, HostConnections: 2, HostNewConnectionsPerSecond: 100})
		var running sync.WaitGroup
		var mu sync.Mutex
		atHost := map[netip.Addr]int{}
		for i := range 60 {
			addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 3)})
			if i%4 == 0 {
				addr = loopback
			}
			running.Go(func() {
				end, err := waitAdmit(t.Context(), l, addr)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if atHost[addr]++; atHost[addr] > 1 && addr != loopback {
					t.Errorf("%d visits to %s at once", atHost[addr], addr)
				}
				mu.Unlock()
				for range 2 {
					release, err := waitConnect(t.Context(), l, addr)
					if err != nil {
						t.Error(err)
					} else {
						defer release()
					}
					time.Sleep(time.Second)
				}
				mu.Lock()
				atHost[addr]--
				mu.Unlock()
				end()
			})
		}
		running.Wait() // synctest fails here when all are blocked for ever
	})
}

func TestContextEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, defaults)
		open(t, l, 2, func(int) netip.Addr { return remote })
		end, err := waitAdmit(t.Context(), l, remote)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := waitConnect(ctx, l, remote); !errors.Is(err, context.Canceled) {
				t.Errorf("Conn: %v", err)
			}
		})
		waiting.Go(func() {
			if _, err := waitAdmit(ctx, l, remote); !errors.Is(err, context.Canceled) {
				t.Errorf("Visit: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		waiting.Wait()
		if h := l.hosts[remote]; h.users != 3 {
			t.Errorf("%d users of the host, want the two connections and the visit", h.users)
		}
	})
}

func TestIdleHostsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, defaults)
		held, err := waitConnect(t.Context(), l, remote)
		if err != nil {
			t.Fatal(err)
		}
		defer held()
		most := 0
		packets(t, l, 100_000, func(i int) netip.Addr {
			most = max(most, len(l.hosts))
			return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		})
		if limit := int(2*forgetAfter/time.Second)*defaults.PacketsPerSecond + 100; most > limit {
			t.Errorf("%d hosts held, limit %d", most, limit)
		}
		time.Sleep(forgetAfter)
		packets(t, l, 1, func(int) netip.Addr { return netip.MustParseAddr("192.0.2.2") })
		if len(l.hosts) != 2 || l.hosts[remote] == nil {
			t.Errorf("%d hosts left, want the new one and the one in use", len(l.hosts))
		}
	})
}

func TestNewRefusesNonsense(t *testing.T) {
	for _, connections := range []int{-1, 0, 1} { // 1 is less than HostConnections
		bad := defaults
		bad.Connections = connections
		if _, err := New(bad); err == nil {
			t.Errorf("no error for %d connections", connections)
		}
	}
}
