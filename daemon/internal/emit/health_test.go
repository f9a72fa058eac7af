package emit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
)

// flaky is a Sink that is down for as long as its context says.
type flaky struct {
	memory
	down atomic.Bool
	slow time.Duration // of each delivery
}

func newFlaky() *flaky {
	f := &flaky{memory: memory{accept: -1}}
	f.down.Store(true)
	return f
}

func (f *flaky) Name() string { return "flaky" }

func (f *flaky) Deliver(ctx context.Context, rs []Record) (int, error) {
	if f.down.Load() {
		return 0, errors.New("connection refused\nby \x1b[2J")
	}
	time.Sleep(f.slow)
	return f.memory.Deliver(ctx, rs)
}

// told gives what the outbox has about sinks, a line each.
func (o *outbox) told() (lines []string) {
	for _, r := range o.records {
		if strings.HasPrefix(r.Event.Reason, "sink ") {
			lines = append(lines, fmt.Sprintf("%s %s %v", r.Event.Action, r.Event.Reason, r.Event.Counts))
		}
	}
	return lines
}

// drainFor runs a Drain for the scripted time in a bubble of fake time.
func drainFor(t *testing.T, d *Drain, script func()) {
	t.Helper()
	d.Epoch, d.Log, d.FlushTimeout = testEpoch, slog.New(slog.DiscardHandler), time.Second
	if d.Health == nil {
		d.Health = new(Health)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, func() {}) }()
	script()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestSinkDownIsToldOnceAndItsRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{cursors: map[string]int64{}}
		sink := newFlaky()
		d := &Drain{Source: box, Sink: sink, MaxBacklog: 1000}
		box.add(event.ServiceNew)
		drainFor(t, d, func() {
			time.Sleep(10 * time.Minute)
			if r := d.Health.Report(); !r.Down || r.Failures < 10 {
				t.Errorf("health %+v", r)
			}
			sink.down.Store(false)
			time.Sleep(time.Minute)
		})
		want := []string{"sensor.degraded sink flaky map[down_s:61]",
			"sensor.recovered sink flaky map[down_s:601 dropped:0]"}
		if diff := cmp.Diff(want, box.told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if got := fmt.Sprint(sink.got); got != "[1 2 3]" {
			t.Errorf("delivered %s, want the event and the two about it", got)
		}
	})
}

func TestShortOutageIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{cursors: map[string]int64{}}
		sink := newFlaky()
		box.add(event.ServiceNew)
		drainFor(t, &Drain{Source: box, Sink: sink, MaxBacklog: 1000}, func() {
			time.Sleep(50 * time.Second)
			sink.down.Store(false)
			time.Sleep(time.Hour)
		})
		if told := box.told(); len(told) > 0 || len(sink.got) != 1 {
			t.Errorf("told %q, delivered %v", told, sink.got)
		}
	})
}

// TestBacklogDropsTheOldestAndSaysSo: what was not delivered is what was told
// dropped, to the number.
func TestBacklogDropsTheOldestAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{cursors: map[string]int64{}}
		sink := newFlaky()
		d := &Drain{Source: box, Sink: sink, MaxBacklog: 1000}
		const events = 10_000
		drainFor(t, d, func() {
			for range events / 100 {
				for range 100 {
					box.add(event.ServiceNew)
				}
				time.Sleep(time.Minute)
			}
			sink.down.Store(false)
			time.Sleep(time.Minute)
		})
		have := map[int64]int{}
		for _, seq := range sink.got {
			have[seq]++
		}
		dropped, tellings := 0, 0
		for _, r := range box.records {
			c := r.Event.Counts
			if r.Event.Action != event.SensorDegraded || c["dropped"] == 0 {
				continue
			}
			tellings++
			for seq := c["seq_first"]; seq <= c["seq_last"]; seq++ {
				have[int64(seq)]++
				dropped++
			}
			if c["dropped"] != c["seq_last"]-c["seq_first"]+1 {
				t.Errorf("counts %v do not fit", c)
			}
		}
		for _, r := range box.records {
			if n := have[r.Event.Seq]; n != 1 {
				t.Errorf("event %d is delivered or told dropped %d times", r.Event.Seq, n)
			}
		}
		last := box.told()[len(box.told())-1]
		if want := fmt.Sprintf("dropped:%d]", dropped); !strings.Contains(last, "recovered") || !strings.Contains(last, want) {
			t.Errorf("last told %q, want the recovery with %s", last, want)
		}
		if kept := len(sink.got); kept < 900 || kept > 1010 || tellings > events/100 {
			t.Errorf("%d delivered after the outage with a backlog of 1000, %d events about it", kept, tellings)
		}
		if n := d.Health.Report().Dropped; n != int64(dropped) {
			t.Errorf("health says %d dropped, events %d", n, dropped)
		}
	})
}

// TestSlowSinkIsBoundedToo: one that never fails, but takes a batch in a minute.
func TestSlowSinkIsBoundedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{cursors: map[string]int64{}}
		sink := &flaky{memory: memory{accept: -1}, slow: time.Minute}
		drainFor(t, &Drain{Source: box, Sink: sink, MaxBacklog: 1000}, func() {
			for range 5000 {
				box.add(event.ServiceNew)
			}
			time.Sleep(time.Hour)
		})
		told := box.told()
		if len(told) < 2 || !strings.HasPrefix(told[0], "sensor.degraded sink flaky map[dropped:") ||
			!strings.HasPrefix(told[len(told)-1], "sensor.recovered") {
			t.Errorf("told %q", told)
		}
	})
}

func TestReopenReachesTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reopen := make(chan struct{}, 1)
		sink := &reopened{}
		sink.accept = -1
		drainFor(t, &Drain{Source: &outbox{cursors: map[string]int64{}}, Sink: sink, Reopen: reopen}, func() {
			reopen <- struct{}{}
			time.Sleep(time.Millisecond)
			if n := sink.times.Load(); n != 1 {
				t.Errorf("reopened %d times at once, want 1", n)
			}
		})
	})
}

type reopened struct {
	memory
	times atomic.Int32
}

func (r *reopened) Reopen() error { r.times.Add(1); return nil }

// TestOutageOverARestart: its end is told, once, and not its beginning again.
func TestOutageOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{cursors: map[string]int64{}}
		box.add(event.SensorStarted)
		sink := newFlaky()
		h := new(Health)
		h.GoOn(time.Now().Add(-time.Hour), 4)
		drainFor(t, &Drain{Source: box, Sink: sink, Health: h}, func() {
			time.Sleep(10 * time.Minute)
			sink.down.Store(false)
			time.Sleep(time.Hour)
		})
		want := []string{"sensor.recovered sink flaky map[down_s:4201 dropped:4]"}
		if diff := cmp.Diff(want, box.told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}
