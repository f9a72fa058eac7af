package budget

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A sweep and visits together keep to the rate of all in every window, and
// neither is kept from its share.
func TestTakeSharesTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Limits{PacketsPerSecond: 1000, HostPacketsPerSecond: 1000, Connections: 4,
			HostConnections: 2, HostNewConnectionsPerSecond: 1})
		if l.Burst() != 50 {
			t.Fatalf("burst %d, want a twentieth of a second", l.Burst())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var mu sync.Mutex
		var swept, visited int
		perWindow := map[int64]int{} // of 100 ms
		count := func(n int, of *int) {
			mu.Lock()
			defer mu.Unlock()
			*of += n
			perWindow[time.Now().UnixMilli()/100] += n
		}
		var running sync.WaitGroup
		running.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(l.Take(10))
				count(10, &swept)
			}
		})
		running.Go(func() {
			for l.Packet(ctx, remote) == nil {
				count(1, &visited)
			}
		})
		running.Wait()
		if all := swept + visited; all < 9_950 || all > 10_000+50+10 {
			t.Errorf("%d packets in 10 s at 1,000 a second", all)
		}
		if visited < 500 {
			t.Errorf("visits had %d of %d packets", visited, swept+visited)
		}
		for w, n := range perWindow {
			if n > 100+50+10 {
				t.Errorf("%d packets in the 100 ms from %d00 ms on", n, w)
			}
		}
	})
}

// What sweeps send to a host that visits ask too comes from the same rate; of
// a host that only sweeps ask there is no memory.
func TestTakeHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, defaults) // 40 packets/s to one host
		if _, known := l.TakeHost(remote); known {
			t.Error("a host is known of which nobody asked")
		}
		if _, known := l.ChargeHost(remote); known {
			t.Error("a host is known of which nobody asked")
		}
		if err := l.Packet(t.Context(), remote); err != nil {
			t.Fatal(err)
		}
		began, taken := time.Now(), 1
		for time.Since(began) < time.Second {
			wait, known := l.TakeHost(remote)
			if !known {
				t.Fatal("a host is not known that was just asked")
			}
			if wait == 0 {
				taken++
			}
			time.Sleep(max(wait, time.Millisecond))
		}
		if taken < 40 || taken > 44+1 {
			t.Errorf("%d packets in a second, want 40 and a burst of 4", taken)
		}
		charged := 0
		for range 1000 {
			if ok, _ := l.ChargeHost(remote); ok {
				charged++
			}
		}
		if charged < 60 || charged > 90 {
			t.Errorf("%d packets charged ahead, want those of two seconds", charged)
		}
		time.Sleep(2 * forgetAfter)
		if err := l.Packet(t.Context(), loopback.Next()); err != nil {
			t.Fatal(err)
		}
		if err := l.Packet(t.Context(), remote.Next()); err != nil { // forgets idle hosts
			t.Fatal(err)
		}
		if _, known := l.TakeHost(remote); known {
			t.Error("an idle host is remembered")
		}
	})
}

// A host that is to be asked with care is, by sweeps too, whoever asked first.
func TestTakeHostWithCare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, defaults)
		l.Careful(remote, true)
		began, taken := time.Now(), 0
		for time.Since(began) < 10*time.Second {
			wait, known := l.TakeHost(remote)
			if !known {
				t.Fatal("a careful host is not known")
			}
			if wait == 0 {
				taken++
			}
			time.Sleep(max(wait, time.Millisecond))
		}
		if want := 10 * CarefulPackets; taken < want-1 || taken > want+hostBurst+1 {
			t.Errorf("%d packets in 10 s, want %d", taken, want)
		}
	})
}
