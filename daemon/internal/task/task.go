// Package task runs the long-lived parts of the daemon together: all are
// started, each says when it is ready, and when one ends with an error or the
// context ends, all are stopped and waited for.
package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Task is one long-lived part. Run calls ready once it does its work, and
// returns only when every goroutine that it started is gone. A nil error
// before the context ends means that its work is done.
type Task interface {
	Name() string
	Run(ctx context.Context, ready func()) error
}

// Run runs the tasks until ctx ends or one of them fails. It calls allReady
// once, after every task was ready. The errors of all tasks are joined, each
// with the name of its task; the end of ctx is not an error.
func Run(ctx context.Context, allReady func(), tasks ...Task) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var (
		wg    sync.WaitGroup
		ready sync.WaitGroup
		errs  = make([]error, len(tasks))
	)
	ready.Add(len(tasks))
	for i, t := range tasks {
		wg.Go(func() {
			var once sync.Once
			err := t.Run(ctx, func() { once.Do(ready.Done) })
			if err != nil && !errors.Is(err, context.Canceled) {
				errs[i] = fmt.Errorf("%s: %w", t.Name(), err)
				cancel()
			}
			once.Do(ready.Done) // one that ended unready must not hold up the wait below
		})
	}
	ready.Wait()
	if ctx.Err() == nil && allReady != nil {
		allReady()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Every calls do at the end of each interval until ctx ends. A call that takes
// longer than that lets intervals pass without one.
func Every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			do(ctx)
		}
	}
}
