package sensor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sonde/probes"
)

// TestOverview: while a sweep is under way and after it.
func TestOverview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22, 80)
		w.visitTime = 20 * time.Second
		s := newStore(w)
		cfg := configOf(w, s)
		cfg.Discovery = func() map[string]int { return map[string]int{"sent": 7} }
		sensor := New(cfg)
		begun := time.Now()
		var early, late Overview
		got := make(chan struct{}, 2)
		ask := func(into *Overview) func() {
			return func() {
				go func() {
					var err error
					if *into, err = sensor.Overview(t.Context()); err != nil {
						t.Error(err)
					}
					got <- struct{}{}
				}()
			}
		}
		runThis(t, sensor, 2*time.Minute, map[time.Duration]func(){
			time.Second: ask(&early), 90 * time.Second: ask(&late)})
		<-got
		<-got
		if len(early.Sweeps) != 1 || early.Sweeps[0].Watch != "lan" || !early.Sweeps[0].Since.Equal(begun) ||
			early.Sweeps[0].Targets == 0 || early.Watches[0].SweepAge >= 0 {
			t.Errorf("while a sweep is under way: %+v", early)
		}
		if early.Visits != 0 && early.Sweeps[0].Owed == 0 {
			t.Errorf("a visit that the sweep does not wait for: %+v", early)
		}
		l := late.Watches[0]
		if len(late.Sweeps) != 0 || l.Known != 2 || l.SweepAge <= 0 || l.VerifyEvery != verifyEvery ||
			!l.NextSweep.Equal(begun.Add(l.DiscoverEvery)) || l.NextVisit.Before(time.Now().Add(-time.Minute)) ||
			l.Later != 3 || l.Due != 0 || late.Outcomes[probes.OutcomeAnswered] < 2 || late.Discovery["sent"] != 7 {
			t.Errorf("after the sweep: %+v", late)
		}
		if _, err := sensor.Overview(t.Context()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// TestOverviewOfOneThatStalls: who asks a sensor that hangs is not held for ever.
func TestOverviewOfOneThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sensor := New(Config{Now: time.Now})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := sensor.Overview(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}
