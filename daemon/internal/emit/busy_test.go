package emit

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
)

// A slow sink takes its time for each message.
type slow struct {
	memory
	each time.Duration
	next func()
}

func (s *slow) Deliver(ctx context.Context, rs []Record) (int, error) {
	for range rs {
		if s.next != nil {
			s.next()
		}
		time.Sleep(s.each)
	}
	return s.memory.Deliver(ctx, rs)
}

// A far sink says when a message got through.
type far struct{ slow }

func (f *far) tellSteps(onStep func()) { f.next = onStep }

// TestDrainBusy: a drain that waits for events is not busy; one whose sink hangs is,
// and one whose sink has many messages to bring to a slow receiver only as long as
// the present one takes.
func TestDrainBusy(t *testing.T) {
	for _, tt := range []struct {
		about    string
		sink     Sink
		want     time.Duration // after 25 s
		patience time.Duration
	}{
		{"hangs", &slow{memory: memory{accept: -1}, each: time.Hour}, 25 * time.Second, 0},
		{"ten messages, ten seconds each", &far{slow{memory: memory{accept: -1}, each: 10 * time.Second}}, 5 * time.Second, time.Minute},
		{"takes all at once", &memory{accept: -1}, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			box := &outbox{cursors: map[string]int64{}}
			wake := make(chan struct{})
			d := &Drain{Source: box, Sink: tt.sink, Epoch: testEpoch, Wake: wake, Log: slog.New(slog.DiscardHandler)}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- d.Run(ctx, func() {}) }()
			time.Sleep(time.Hour + pollEvery/2)
			if got := d.Busy(); got != 0 {
				t.Errorf("%s: idle for an hour, busy for %v", tt.about, got)
			}
			for range 10 {
				box.add(event.ServiceNew)
			}
			wake <- struct{}{}
			time.Sleep(25 * time.Second)
			if got := d.Busy(); got < tt.want-time.Microsecond || got > tt.want+time.Microsecond {
				t.Errorf("%s: busy for %v, want %v", tt.about, got, tt.want)
			}
			if got := d.Patience(); got != tt.patience {
				t.Errorf("%s: patience %v, want %v", tt.about, got, tt.patience)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got := d.Busy(); got != 0 {
				t.Errorf("%s: it has ended, busy for %v", tt.about, got)
			}
		})
	}
}

// TestStreamSteps: each sink whose messages another program takes tells its steps.
func TestStreamSteps(t *testing.T) {
	for _, s := range []Sink{&Stream{}, &Datagrams{}, NewJournal("")} {
		if _, ok := s.(stepper); !ok {
			t.Errorf("%T tells no steps", s)
		}
	}
}
