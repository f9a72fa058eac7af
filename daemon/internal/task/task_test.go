package task

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

type fake struct {
	name string
	run  func(ctx context.Context, ready func()) error
}

func (f fake) Name() string                                { return f.name }
func (f fake) Run(ctx context.Context, ready func()) error { return f.run(ctx, ready) }

func serve(delay time.Duration) func(context.Context, func()) error {
	return func(ctx context.Context, ready func()) error {
		time.Sleep(delay)
		ready()
		<-ctx.Done()
		return ctx.Err()
	}
}

func TestReadyWhenAllAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var readyAfter time.Duration
		done := make(chan error)
		go func() {
			done <- Run(ctx, func() { readyAfter = time.Since(start) },
				fake{"fast", serve(time.Second)}, fake{"slow", serve(3 * time.Second)})
		}()
		time.Sleep(10 * time.Second)
		cancel()
		if err := <-done; err != nil || readyAfter != 3*time.Second {
			t.Errorf("ready after %v, error %v", readyAfter, err)
		}
	})
}

func TestOneFailureStopsAll(t *testing.T) {
	defer goleak.VerifyNone(t)
	boom := errors.New("boom")
	stopped := false
	announced := false
	err := Run(t.Context(), func() { announced = true },
		fake{"good", func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			stopped = true
			return nil
		}},
		fake{"bad", func(context.Context, func()) error { return boom }})
	if !errors.Is(err, boom) || err.Error() != "bad: boom" || !stopped || announced {
		t.Errorf("error %v, stopped %v, announced %v", err, stopped, announced)
	}
}

// TestEvery: it is called at the end of each interval, and no more when the
// context has ended.
func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var at []time.Duration
		begun := time.Now()
		Every(ctx, time.Second, func(context.Context) {
			if at = append(at, time.Since(begun)); len(at) == 3 {
				cancel()
			}
		})
		if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("called at %v, want %v", at, want)
		}
	})
}
