package emit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sonde/daemon/internal/event"
)

// DownAfter is how long a sink must have failed before that is told: longer
// than a restart of a syslog daemon, shorter than anyone may wait for an alarm.
const DownAfter = time.Minute

// dropShare of MaxBacklog is dropped at once beside the excess, so that a sink
// that is down is told one event per so many, not one per event.
const dropShare = 10

// Health is how one destination does. It outlives the Drain that keeps it up
// to date, so that a new configuration does not forget an outage. Any number
// of goroutines may read it.
type Health struct {
	mu      sync.Mutex
	since   time.Time // of the first failure in a row; zero: none
	told    bool      // that it is down, by sensor.degraded
	lost    int64     // dropped since then
	fails   int
	dropped int64
}

// GoOn takes up what was told of the destination before a restart: that it was
// down since a time, unless that is zero, and that so many events were dropped.
func (h *Health) GoOn(since time.Time, lost int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since, h.told, h.lost = since, !since.IsZero(), lost
}

// A HealthReport is the state of a Health at one time.
type HealthReport struct {
	Down     bool      // the last delivery failed
	Since    time.Time // when the first of them in a row did; zero: it did not
	Failures int       // failed deliveries since the start of the program
	Dropped  int64     // events dropped since the start of the program
}

// Report gives the state now.
func (h *Health) Report() HealthReport {
	h.mu.Lock()
	defer h.mu.Unlock()
	return HealthReport{Down: !h.since.IsZero(), Since: h.since, Failures: h.fails, Dropped: h.dropped}
}

// fail notes a failure. It says whether this is the first in a row, and for how
// long they have lasted where that is to be told now.
func (h *Health) fail(now time.Time, after time.Duration) (first bool, down time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails++
	if first = h.since.IsZero(); first {
		h.since = now
	}
	if d := now.Sub(h.since); d >= after && !h.told {
		return first, d
	}
	return first, 0
}

func (h *Health) noteTold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = true
}

func (h *Health) noteDropped(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost += n
	h.dropped += n
}

// outage gives what is to be told of an outage that is over: since when, and
// how many events were dropped; false when there is none to tell.
func (h *Health) outage() (since time.Time, lost int64, tell bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tell = h.told || h.lost > 0
	if !tell {
		h.since = time.Time{}
	}
	return h.since, h.lost, tell
}

func (h *Health) over() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since, h.told, h.lost = time.Time{}, false, 0
}

// failed logs a failed delivery, and tells of a sink that has been down for
// long. That it cannot be told now is no matter: the next failure tries again.
func (d *Drain) failed(ctx context.Context, err error, wait time.Duration) {
	first, down := d.Health.fail(time.Now(), d.DownAfter)
	if first || wait >= backoffMax {
		d.Log.Warn("delivery failed, trying again", "sink", d.Sink.Name(), "err", err, "in", wait)
	}
	if down == 0 {
		return
	}
	e := event.Event{Action: event.SensorDegraded,
		Message: fmt.Sprintf("events cannot be delivered to %s: %v", d.Sink.Name(), err),
		Counts:  map[string]int{"down_s": int(down.Seconds())}}
	if err := d.tell(ctx, e); err != nil {
		d.Log.Error("sink is down, and that could not be recorded", "sink", d.Sink.Name(), "err", err)
		return
	}
	d.Health.noteTold()
}

// recovered tells once that a sink has caught up after it was told down.
func (d *Drain) recovered(ctx context.Context) {
	since, lost, tell := d.Health.outage()
	if !tell {
		return
	}
	counts := map[string]int{"dropped": int(lost)}
	if !since.IsZero() {
		counts["down_s"] = int(time.Since(since).Seconds())
	}
	e := event.Event{Action: event.SensorRecovered, Counts: counts,
		Message: fmt.Sprintf("events are delivered to %s again", d.Sink.Name())}
	if err := d.tell(ctx, e); err != nil {
		d.Log.Error("recovered sink not recorded", "sink", d.Sink.Name(), "err", err)
		return
	}
	d.Health.over()
}

// bound drops the oldest events of a sink that is behind by more than
// MaxBacklog. It tells first: a crash in between tells once too often, not
// once too little.
func (d *Drain) bound(ctx context.Context) error {
	last, err := d.Source.LastSeq(ctx)
	if err != nil || d.MaxBacklog <= 0 || last-d.cursor <= d.MaxBacklog {
		return err
	}
	from, to := d.cursor+1, last-d.MaxBacklog+d.MaxBacklog/dropShare
	n := to - d.cursor
	err = d.tell(ctx, event.Event{Action: event.SensorDegraded,
		Message: fmt.Sprintf("%d events were not delivered to %s, numbers %d to %d: it is behind by more than %d",
			n, d.Sink.Name(), from, to, d.MaxBacklog),
		Counts: map[string]int{"dropped": int(n), "seq_first": int(from), "seq_last": int(to)}})
	if err != nil {
		return fmt.Errorf("tell of dropped events: %w", err)
	}
	if err := d.advance(ctx, to); err != nil {
		return err
	}
	d.Log.Warn("events dropped for a sink that is behind", "sink", d.Sink.Name(), "first", from, "last", to)
	d.Health.noteDropped(n)
	return nil
}
