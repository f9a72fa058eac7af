package sensor

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
)

// A marker sweeps a world in the plan's order, a target each 100 ms, and marks
// each tenth.
type marker struct {
	*world
	asked [][]uint64 // places, by sweep
}

func (m *marker) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	order, err := p.Order()
	if err != nil {
		return capture.Stats{}, err
	}
	n, _ := p.Len()
	m.asked = append(m.asked, nil)
	for i := p.From; i < n; i++ {
		a, port, _ := order.At(i)
		if p.Skip != nil && p.Skip(a) {
			continue
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return capture.Stats{}, ctx.Err()
		}
		last := len(m.asked) - 1
		m.asked[last] = append(m.asked[last], i)
		m.mu.Lock()
		_, there := m.open[port]
		degraded := m.degraded
		m.mu.Unlock()
		if there {
			yield(capture.Reply{Addr: netip.AddrPortFrom(a, port), Network: p.Network, Kind: capture.Accepted, At: time.Now()})
		}
		if (i+1)%10 == 0 && !degraded {
			p.Checkpoint(i + 1)
		}
	}
	return capture.Stats{Targets: n - p.From, Degraded: m.degraded}, nil
}

// cut runs a sensor over ports 1 to 100 and ends it in the middle of the sweep,
// and another one, of which change may change what it is told, some time later.
func cut(t *testing.T, m *marker, s *store, pause time.Duration, change func(*Config)) {
	t.Helper()
	cfg := configOf(m.world, s)
	cfg.Watches[0].Sweeper = m
	runFor(t, cfg, 4550*time.Millisecond, nil)
	time.Sleep(pause)
	cfg = configOf(m.world, s)
	cfg.Watches[0].Sweeper = m
	if change != nil {
		change(&cfg)
	}
	runFor(t, cfg, 30*time.Second, nil)
}

// A pass goes on where it stopped, and is as old as its beginning.
func TestSweepGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marker{world: newWorld(t)}
		s := newStore(m.world)
		began := time.Now()
		cut(t, m, s, time.Minute, nil)
		if len(m.asked) != 2 || len(m.asked[1]) != 60 || m.asked[1][0] != 40 {
			t.Fatalf("asked %v", m.asked)
		}
		if len(s.passes) != 1 || !s.passes[0].Started.Equal(began) || len(s.unfinished) != 0 {
			t.Errorf("passes %+v, unfinished %+v", s.passes, s.unfinished)
		}
	})
}

// TestShutSweepKeepsItsPlace: a sweep of a watch that is paused goes on where it
// was, however long that lasts and however often the sensor is started meanwhile.
func TestShutSweepKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marker{world: newWorld(t)}
		s, o := newStore(m.world), &orders{}
		run := func(d time.Duration, at map[time.Duration]func()) {
			cfg := configOf(m.world, s)
			cfg.Watches[0].Sweeper, cfg.Orders = m, o
			cfg.Watches[0].Sweeps[0].Every = 24 * time.Hour
			runFor(t, cfg, d, at)
		}
		run(3*time.Hour, map[time.Duration]func(){4550 * time.Millisecond: func() { o.set(true) }})
		stopped := len(m.asked[0])
		run(3*time.Hour, nil)
		run(time.Second, nil)
		run(3*time.Hour, map[time.Duration]func(){2 * time.Hour: func() { o.set(false) }})
		if len(m.asked) != 2 || m.asked[1][0] < uint64(stopped)-10 || m.asked[1][0] == 0 {
			t.Errorf("asked %v, stopped after %d", m.asked, stopped)
		}
		if len(s.passes) != 1 {
			t.Errorf("%d passes are complete", len(s.passes))
		}
	})
}

// A pass that is no longer what would be made is made from its beginning.
func TestSweepBeginsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		pause  time.Duration
		change func(*Config)
	}{
		"too long ago": {pause: resumeWithin + time.Second, change: func(c *Config) { c.Watches[0].Sweeps[0].Every = 24 * time.Hour }},
		"due again":    {pause: sweepEvery},
		"other ports":  {change: func(c *Config) { c.Watches[0].Sweeps[0].Pass.Ports = "1-101" }},
		"other method": {change: func(c *Config) { c.Watches[0].Sweeps[0].Pass.Method = "syn" }},
		"other order":  {change: func(c *Config) { c.Watches[0].Sweeps[0].Plan = planTo(99, addr) }},
		"of the future": {change: func(c *Config) {
			c.Now = func() time.Time { return time.Now().Add(-time.Minute) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &marker{world: newWorld(t)}
				cut(t, m, newStore(m.world), c.pause, c.change)
				if len(m.asked) != 2 || m.asked[1][0] != 0 {
					t.Errorf("asked %v", m.asked)
				}
			})
		})
	}
}

// What a sweep found counts as done when its visit is stored, not before: the
// sweep goes on from there.
func TestSweepGoesOnBeforeWhatIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marker{world: newWorld(t)}
		for port := range uint16(100) {
			m.set(port+1, "1.0")
		}
		m.visitTime = time.Second
		s := newStore(m.world)
		cut(t, m, s, time.Second, nil)
		if len(m.asked) != 2 || m.asked[1][0] == 0 || m.asked[1][0] > 40 {
			t.Fatalf("asked %v", m.asked)
		}
		if len(s.passes) != 1 || len(s.endpoints) != 100 {
			t.Errorf("%d endpoints, passes %+v", len(s.endpoints), s.passes)
		}
	})
}

// A pass of which a part is degraded is not complete, and nothing of it is gone
// on with.
func TestDegradedPartIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marker{world: newWorld(t)}
		m.degraded = true
		s := newStore(m.world)
		cut(t, m, s, time.Second, nil)
		if len(m.asked) < 2 || m.asked[1][0] != 0 || len(s.passes) != 0 {
			t.Errorf("asked %v, passes %+v", m.asked, s.passes)
		}
	})
}
