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
	for name, c := range map[string]struct {
		every  time.Duration
		change bool // of the probes, in the middle
		want   int
	}{
		"each ten hours": {every: 10 * time.Hour, want: 2}, "never": {want: 0}, "other probes": {change: true, want: 1},
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
				cfg.Watches[0].Sweeps[0].Every = 10 * time.Hour
				runFor(t, cfg, 7*time.Hour, nil)
				if c.change {
					cfg.ProbesSince = time.Now()
				}
				runFor(t, cfg, 13*time.Hour, nil)
				late := 0 // the last turn of some comes after the end
				for p := uint16(1); p <= 20; p++ {
					n := climbsOf(w)[p]
					if n == c.want-1 && c.every > 0 {
						late++
					} else if n != c.want {
						t.Errorf("port %d was asked anew %d times, want %d", p, n, c.want)
					}
				}
				if late > 6 {
					t.Errorf("%d ports were asked anew once less than their turns", late)
				}
			})
		})
	}
}
