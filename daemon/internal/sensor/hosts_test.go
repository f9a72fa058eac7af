package sensor

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// hostsWorld is a watch over ports 1 to 100 of the addresses 198.18.0.0/24 that
// was swept a minute ago.
func hostsWorld(t *testing.T, open ...uint16) (*world, *store, Config) {
	w := newWorld(t, open...)
	s := newStore(w)
	done := doneAt(time.Now().Add(-time.Minute))
	done.Targets = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")}
	s.passes = []inventory.Pass{done}
	cfg := configOf(w, s)
	var all []netip.Addr
	for a := done.Targets[0].Addr(); done.Targets[0].Contains(a); a = a.Next() {
		all = append(all, a)
	}
	sw := &cfg.Watches[0].Sweeps[0]
	sw.Plan, sw.Pass.Targets = planTo(100, all...), done.Targets
	cfg.Watches[0].Contains = func(a netip.Addr, _ probes.Transport, port uint16) bool {
		return done.Targets[0].Contains(a) && port <= 100
	}
	return w, s, cfg
}

func at(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}) }

// A host that was not seen before has all its ports asked at once, and what
// answers there is visited; and again when it may have started all that it
// serves. One that is seen again soon, or is out of the scope, has not.
func TestSightedHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := hostsWorld(t, 22, 80)
		w.sweepTime = time.Second
		sensor := New(cfg)
		sight := func(n int) func() { return func() { sensor.SightedHost("lan", at(n)) } }
		runThis(t, sensor, 3*time.Minute, map[time.Duration]func(){
			time.Second: sight(7), 5 * time.Second: sight(7), 6 * time.Second: sight(256),
			time.Minute: func() { w.set(90, "1.0") }})
		if got := fmt.Sprint(w.swept); got != "[100 100]" {
			t.Errorf("rounds over %s targets, want two over 100", got)
		}
		if v := w.visitsOf(22); len(v) == 0 || len(w.visitsOf(80)) == 0 || len(w.visitsOf(90)) == 0 || len(w.visitsOf(23)) > 0 {
			t.Errorf("visits %v", w.log)
		}
		k := keyOf(22)
		k.Addr = at(7)
		if e, there := s.endpoints[k]; !there || e.Status != inventory.Present {
			t.Errorf("endpoint %+v, %v", e.Status, there)
		}
	})
}

// What is known of a host is asked when the host is seen and it needs that, at
// most once a minute; that alone is no reason to ask all its ports.
func TestSightedHostReminds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := hostsWorld(t, 22, 23, 24)
		now := time.Now()
		for port, last := range map[uint16]time.Time{22: now, 23: now.Add(-verifyEvery * 9 / 10), 24: now} {
			k := keyOf(port)
			k.Addr = at(3)
			s.endpoints[k] = inventory.Endpoint{Key: k, Watch: "lan", Status: inventory.Present, LastVisited: last}
		}
		w.outcome[22] = probes.OutcomeUnreachable // the host is switched off ...
		w.outcome[24] = probes.OutcomeBlocked
		sensor := New(cfg)
		plan := map[time.Duration]func(){}
		for i := range 200 { // ... and somebody forges it
			plan[6*time.Minute+time.Duration(i)*100*time.Millisecond] = func() { sensor.SightedHost("lan", at(3)) }
		}
		runThis(t, sensor, 8*time.Minute, plan)
		between := func(port uint16) (n int) {
			for _, at := range w.visitsOf(port) {
				if d := at.Sub(now); d >= 6*time.Minute && d < 6*time.Minute+30*time.Second {
					n++
				}
			}
			return n
		}
		if a, b, c := between(22), between(23), between(24); a != 1 || b != 0 || c != 0 {
			t.Errorf("%d visits of what fails, %d of what is fresh and %d of what refuses us, want 1, 0 and 0", a, b, c)
		}
		if len(w.swept) > 0 {
			t.Errorf("rounds over %d targets, want none", w.swept)
		}
	})
}

// A service that is gone makes its host as good as new.
func TestSightedHostReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, cfg := hostsWorld(t)
		cfg.Watches[0].Sweeps[0].Every = 24 * time.Hour
		k := keyOf(22)
		k.Addr = at(3)
		s.endpoints[k] = inventory.Endpoint{Key: k, Watch: "lan", Status: inventory.Present, LastVisited: time.Now()}
		sensor := New(cfg)
		runThis(t, sensor, 30*time.Minute, map[time.Duration]func(){
			time.Second:      func() { sensor.SightedHost("lan", at(3)) },
			20 * time.Minute: func() { w.set(22, "1.0"); sensor.SightedHost("lan", at(3)) },
		})
		if e := s.endpoints[k]; e.Status != inventory.Present {
			t.Errorf("the service that came back is %v; %v, told %v", e.Status, w.log, s.told())
		}
		if len(w.swept) != 2 {
			t.Errorf("rounds over %d targets, want two", w.swept)
		}
	})
}

// A flood of forged hosts has an eighth of the watch asked, twice in each
// discover_every, in bounded memory.
func TestSightedHostFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, cfg := hostsWorld(t)
		cfg.Watches[0].Sweeps[0].Every = 2 * time.Hour
		sensor := New(cfg)
		plan := map[time.Duration]func(){}
		for round := range 60 {
			plan[time.Duration(round+1)*time.Minute] = func() {
				for i := range 256 { // again and again the whole subnet
					sensor.SightedHost("lan", at(i))
				}
			}
		}
		runThis(t, sensor, 90*time.Minute, plan)
		sum := 0
		for _, n := range w.swept {
			sum += n
		}
		if want := 2 * 256 / freshShare * 100; sum != want {
			t.Errorf("%d targets were asked, want %d", sum, want)
		}
		if len(sensor.heard) > 256 || sensor.missed.Load() == 0 {
			t.Errorf("%d hosts remembered, %d sightings missed", len(sensor.heard), sensor.missed.Load())
		}
	})
}

// The table of hosts is bounded.
func TestHeardIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, cfg := hostsWorld(t)
		big := netip.MustParsePrefix("198.18.0.0/15")
		cfg.Watches[0].Contains = func(a netip.Addr, _ probes.Transport, _ uint16) bool { return big.Contains(a) }
		s := New(cfg) // its loop does not run
		first := big.Addr()
		w := s.watches["lan"]
		for i, a := 0, first; i < hostsMost+1000; i, a = i+1, a.Next() {
			s.passHost(w, a)
			time.Sleep(time.Millisecond)
		}
		if len(s.heard) != hostsMost {
			t.Errorf("%d hosts remembered, want %d", len(s.heard), hostsMost)
		}
		if _, there := s.heard[hostID{"default", first.Next()}]; there && len(s.fresh) > 0 {
			t.Error("rounds before the first sweep")
		}
	})
}

// While its watch is shut a host waits for its round.
func TestSightedHostWhileShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, cfg := hostsWorld(t)
		w.sweepTime = time.Second
		var opened atomic.Bool
		cfg.Watches[0].Hours = hoursFunc(func(time.Time) bool { return opened.Load() })
		sensor := New(cfg)
		runThis(t, sensor, time.Minute, map[time.Duration]func(){
			time.Second: func() { sensor.SightedHost("lan", at(7)) },
			20 * time.Second: func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(w.swept) > 0 {
					t.Error("a round while nothing may be sent")
				}
				opened.Store(true)
			}})
		if len(w.swept) != 1 {
			t.Errorf("%d rounds, want one", len(w.swept))
		}
	})
}

type hoursFunc func(time.Time) bool

func (f hoursFunc) At(t time.Time) (bool, time.Time) { return f(t), t.Add(time.Second) }
