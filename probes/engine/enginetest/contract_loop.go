package enginetest

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"sonde/probes/engine"
)

func postInOrder(t *testing.T, h *Harness) {
	const n = 1000
	var got []int
	post := func(i int) {
		if !h.Loop.Post(func() { got = append(got, i) }) {
			t.Error("refused")
		}
	}
	var other sync.WaitGroup
	other.Go(func() {
		for i := range n {
			post(2 * i)
		}
	})
	for i := range n {
		post(2*i + 1)
	}
	other.Wait()
	h.wait(t, "posted functions", func() bool { return len(got) == 2*n })
	var last [2]int
	for _, i := range got {
		if i < last[i%2] {
			t.Fatalf("%d ran after %d of the same goroutine", i, last[i%2])
		}
		last[i%2] = i
	}
}

func postAfterClose(t *testing.T, h *Harness) {
	ran := false
	h.Loop.Post(func() { ran = true })
	for range 2 {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if !ran {
		t.Error("what was posted before Close did not run")
	}
	if h.Loop.Post(func() { t.Error("ran after Close") }) {
		t.Error("Post after Close says true")
	}
}

func timersInOrder(t *testing.T, h *Harness) {
	var got []int
	var start time.Time
	h.Do(func() {
		start = h.Loop.Now()
		for _, ms := range []int{30, 10, 20, 10, 70, 0, -5} {
			at := start.Add(time.Duration(ms) * time.Millisecond)
			timer := h.Loop.NewTimer(func() {
				got = append(got, ms)
				if h.Loop.Now().Before(at) {
					t.Errorf("timer of %v ran %v early", at, at.Sub(h.Loop.Now()))
				}
			})
			timer.Reset(at)
		}
		if len(got) > 0 {
			t.Error("a timer ran within Reset")
		}
	})
	h.wait(t, "timers", func() bool { return len(got) == 7 })
	if !slices.Equal(got, []int{-5, 0, 10, 10, 20, 30, 70}) {
		t.Errorf("timers ran as %v", got)
	}
}

func timerResetStop(t *testing.T, h *Harness) {
	moved, repeated, over := 0, 0, false
	h.Do(func() {
		now := h.Loop.Now()
		in := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
		stopped := h.Loop.NewTimer(func() { t.Error("a stopped timer ran") })
		stopped.Stop()
		stopped.Reset(in(5))
		stopped.Stop()
		stopped.Stop()
		later := h.Loop.NewTimer(func() {
			if moved++; h.Loop.Now().Before(in(20)) {
				t.Error("ran at the time that Reset replaced")
			}
		})
		later.Reset(in(1))
		later.Reset(in(20))
		var ticker engine.Timer
		ticker = h.Loop.NewTimer(func() {
			if repeated++; repeated < 5 {
				ticker.Reset(h.Loop.Now().Add(time.Millisecond))
			}
		})
		ticker.Reset(in(1))
		// At one time, the one that runs first stops the other.
		victim := h.Loop.NewTimer(func() { t.Error("stopped in the same turn, and ran") })
		killer := h.Loop.NewTimer(func() { victim.Stop() })
		killer.Reset(in(30))
		victim.Reset(in(30))
		end := h.Loop.NewTimer(func() { over = true })
		end.Reset(in(60))
	})
	h.wait(t, "timers", func() bool { return over })
	h.Do(func() {
		if moved != 1 || repeated != 5 {
			t.Errorf("a moved timer ran %d times, one that resets itself 5 times %d", moved, repeated)
		}
	})
}

func closeTellsAll(t *testing.T, h *Harness) {
	silent := h.Serve(t, "tcp", v4, Silent)
	dgram := h.Serve(t, "udp", v4, Collects)
	var open, sending, packets, late Recorder
	open.OnEnded = func(error) { late.Open(h.Loop, tcp(silent)) }
	h.Do(func() {
		open.Open(h.Loop, tcp(silent))
		sending.Open(h.Loop, tcp(silent))
		sending.Conn.Send(make([]byte, 64<<20))
		packets.Open(h.Loop, udp(dgram))
		h.Loop.NewTimer(func() { t.Error("a timer ran after Close") }).Reset(h.Loop.Now().Add(time.Hour))
	})
	h.wait(t, "connections", func() bool {
		return open.Has("Opened", 1) && sending.Has("Opened", 1) && packets.Has("Opened", 1)
	})
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	for i, r := range []*Recorder{&open, &sending, &packets, &late} {
		if !errors.Is(r.Err, net.ErrClosed) || !r.Has("Ended", 1) || r.Has("Ended", 2) {
			t.Errorf("connection %d was told %v", i, r)
		}
		r.Conn.Close()
	}
	if h.Stats != nil {
		if s := h.Stats(); s.Open != 0 || s.Waiting != 0 {
			t.Errorf("closed, and %+v", s)
		}
	}
}
