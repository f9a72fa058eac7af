package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestBusy: an engine whose loops wait is never busy, however long they wait; one
// with a handler that hangs is.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := NewNet(Config{Loops: 2}, Net{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		time.Sleep(time.Hour)
		if got := e.Busy(); got != 0 {
			t.Errorf("idle: busy for %v", got)
		}
		e.Loops()[1].Post(func() { time.Sleep(40 * time.Second) })
		time.Sleep(30 * time.Second)
		if got := e.Busy(); got != 30*time.Second {
			t.Errorf("one loop hangs: busy for %v, want 30s", got)
		}
		time.Sleep(15 * time.Second)
		if got := e.Busy(); got != 0 {
			t.Errorf("it has come round: busy for %v", got)
		}
	})
}

// TestBusyOfTheSystem is the same of the loops that New makes.
func TestBusyOfTheSystem(t *testing.T) {
	e, err := New(Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	in, out := make(chan struct{}), make(chan struct{})
	e.Loops()[0].Post(func() { close(in); <-out })
	<-in
	before := e.Busy()
	if again := e.Busy(); before <= 0 || again <= before {
		t.Errorf("a loop hangs: busy for %v, then %v", before, again)
	}
	close(out)
	for e.Busy() != 0 { // ends when the turn does, or with the test's own time
		time.Sleep(time.Millisecond)
	}
}
