package sensor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sonde/probes"
)

// TestLostFindIsVisitedAgain: what a sweep saw open and a visit did not reach is
// not absent, nor is what refused it, as a server that takes one client at a time
// does; it must not be called new by the next sweep.
func TestLostFindIsVisitedAgain(t *testing.T) {
	for _, outcome := range []probes.Outcome{probes.OutcomeSilent, probes.OutcomeRefused} {
		t.Run(string(outcome), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lostFind(t, outcome) })
		})
	}
}

func lostFind(t *testing.T, outcome probes.Outcome) {
	w := newWorld(t, 22)
	w.outcome[22] = outcome
	s := newStore(w)
	runFor(t, configOf(w, s), 30*time.Minute, map[time.Duration]func(){
		10 * time.Second: func() { w.mu.Lock(); defer w.mu.Unlock(); delete(w.outcome, 22) },
	})
	if got := s.told(); !slices.Equal(got, []string{"service.baseline"}) {
		t.Errorf("told %v", got)
	}
	if done, stored := slices.Index(w.log, "pass done"), slices.Index(w.log, "stored 22"); stored < 0 || done < stored {
		t.Errorf("order of work %q, want the sweep to wait for its find", w.log[:min(len(w.log), 8)])
	}
}

// TestFindThatStaysLost: in the end the sweep says nothing of its host.
func TestFindThatStaysLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		w.outcome[22] = probes.OutcomeSilent
		s := newStore(w)
		runFor(t, configOf(w, s), 5*time.Minute, nil)
		if n := len(w.visitsOf(22)); n != findTries {
			t.Errorf("%d visits, want %d", n, findTries)
		}
		if len(s.passes) != 1 || !s.passes[0].Partial || !slices.Contains(s.passes[0].Exclude, hostPrefix(addr)) {
			t.Errorf("passes %+v, want one without the host", s.passes)
		}
	})
}
