package sensor

import (
	"testing"
	"testing/synctest"
	"time"
)

// climbsOf counts the visits of known services that remembered nothing.
func climbsOf(w *world) map[uint16]int {
	n := map[uint16]int{}
	for _, v := range w.visits {
		if v.probe == "" {
			n[v.port]++
		}
	}
	return n
}

// TestReclimb: each service is asked as at the first visit once in the cycle,
// over restarts; never without a cycle; and once after a change of the probes.
func TestReclimb(t *testing.T) {
	const days = 24 * time.Hour
	for name, c := range map[string]struct {
		every  time.Duration
		change bool // of the probes, in the middle
		want   int
	}{
		"each ten days": {every: 10 * days, want: 2}, "never": {want: 0}, "other probes": {change: true, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := newStore(w)
				for p := uint16(1); p <= 20; p++ {
					s.present(p, time.Now())
				}
				cfg := configOf(w, s)
				cfg.Watches[0].ReclimbEvery, cfg.Watches[0].VerifyEvery = c.every, time.Hour
				cfg.Watches[0].Sweeps[0].Every = 10 * days
				runFor(t, cfg, 7*days, nil)
				if c.change {
					cfg.ProbesSince = time.Now()
				}
				runFor(t, cfg, 13*days, nil)
				for p := uint16(1); p <= 20; p++ {
					if n := climbsOf(w)[p]; n != c.want {
						t.Errorf("port %d was asked anew %d times, want %d", p, n, c.want)
					}
				}
			})
		})
	}
}
