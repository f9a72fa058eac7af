package task

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTurn: a loop that waits is never busy, however long; one that works is, from
// the last thing that it began.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn Turn
		want := func(about string, most time.Duration) {
			t.Helper()
			if got := turn.Busy(); got < most-time.Microsecond || got > most+time.Microsecond {
				t.Errorf("%s: busy for %v, want %v", about, got, most)
			}
		}
		time.Sleep(time.Hour)
		want("never begun", 0)
		turn.Begin()
		time.Sleep(5 * time.Second)
		want("at work", 5*time.Second)
		turn.Begin()
		time.Sleep(2 * time.Second)
		want("at the next thing", 2*time.Second)
		turn.End()
		time.Sleep(time.Hour)
		want("waiting", 0)
	})
}
