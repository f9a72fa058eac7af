package sensor

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// A service that listening sees is asked at once where it is not known, or was
// not asked lately, and only there.
func TestSighted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22, 23, 24, 99)
		s := newStore(w)
		now := time.Now()
		s.passes = []inventory.Pass{doneAt(now)}
		for port, last := range map[uint16]time.Time{22: now, 24: now.Add(-verifyEvery / 2)} {
			s.endpoints[keyOf(port)] = inventory.Endpoint{Key: keyOf(port), Watch: "lan",
				Status: inventory.Present, LastVisited: last}
		}
		cfg := configOf(w, s)
		cfg.Watches[0].Contains = func(_ netip.Addr, _ probes.Transport, port uint16) bool { return port < 99 }
		sensor := New(cfg)
		sight := func() {
			for _, port := range []uint16{22, 23, 24, 25, 99} {
				sensor.Sighted("lan", addr, probes.TCP, port)
			}
			sensor.Sighted("no such watch", addr, probes.TCP, 23)
		}
		runThis(t, sensor, 10*time.Second, map[time.Duration]func(){5 * time.Second: sight})
		for port, want := range map[uint16]bool{
			22: false, // fresh
			23: true,  // unknown, and there
			24: false, // asked a while ago, within the promise
			25: true,  // unknown, and not there: forged
			99: false, // out of scope
		} {
			got := slices.ContainsFunc(w.visitsOf(port), func(at time.Time) bool {
				return at.Sub(now) > 4*time.Second && at.Sub(now) < 6*time.Second
			})
			if got != want {
				t.Errorf("port %d: asked at once: %v, want %v", port, got, want)
			}
		}
		if _, there := s.endpoints[keyOf(23)]; !there {
			t.Error("what was seen and answered is not stored")
		}
		if e, there := s.endpoints[keyOf(25)]; there && e.Status != inventory.Unknown {
			t.Errorf("what was forged is stored as %v", e.Status)
		}
	})
}

// A flood of forged sightings takes a bounded memory, and what is not taken is
// counted.
func TestSightedFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		s.passes = []inventory.Pass{doneAt(time.Now())}
		cfg := configOf(w, s)
		var sensor *Sensor
		waiting := -1
		cfg.HeartbeatEvery = 7 * time.Second
		cfg.Discovery = func() map[string]int { waiting = sensor.queue.Len(); return nil } // on the loop
		sensor = New(cfg)
		const each, rounds = 1_000, 60
		at := map[time.Duration]func(){}
		for r := range rounds {
			at[time.Duration(r+1)*100*time.Millisecond] = func() {
				for i := range each {
					sensor.Sighted("lan", addr, probes.TCP, uint16(1+r*each+i))
				}
			}
		}
		runThis(t, sensor, 8*time.Second, at)
		if waiting < 0 || waiting > hintsMost+1 {
			t.Errorf("%d visits wait, want %d at most", waiting, hintsMost)
		}
		if n := sensor.missed.Load(); n < each*rounds-hintsMost-1_000 {
			t.Errorf("%d sightings counted as missed", n)
		}
	})
}

func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := newStore(w)
		s.passes = []inventory.Pass{doneAt(time.Now())}
		cfg := configOf(w, s)
		cfg.HeartbeatEvery = 3 * time.Second
		cfg.Discovery = func() map[string]int { return map[string]int{"sent": 7} }
		sensor := New(cfg)
		runThis(t, sensor, 4*time.Second, map[time.Duration]func(){time.Second: func() {
			sensor.Tell(event.Event{Action: event.SensorDegraded, Message: "eth1 is down"})
		}})
		var degraded bool
		for _, e := range s.events {
			degraded = degraded || e.Action == event.SensorDegraded && e.Message == "eth1 is down"
			if e.Action == event.SensorHeartbeat && e.Counts["discovery.sent"] != 7 {
				t.Errorf("heartbeat counts %v", e.Counts)
			}
		}
		if !degraded {
			t.Errorf("not recorded: %v", s.told())
		}
	})
}
