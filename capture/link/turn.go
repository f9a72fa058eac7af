package link

import (
	"sync/atomic"
	"time"
)

// A Turn tells a loop that hangs from one that waits: the loop begins it when it
// has something to do, and ends it before it waits for whatever comes from
// outside. The zero value is a loop that waits. Busy may be called from any
// goroutine.
type Turn struct {
	began atomic.Int64 // nanoseconds after turnZero, always odd; 0: the loop waits
}

// turnZero lets times be kept as numbers of a clock that nobody sets.
var turnZero = time.Now()

// Begin begins a turn, or the next thing of one that is under way.
func (t *Turn) Begin() { t.began.Store(int64(time.Since(turnZero)) | 1) }

// End ends it.
func (t *Turn) End() { t.began.Store(0) }

// Busy is how long the loop has been at one thing, 0 while it waits.
func (t *Turn) Busy() time.Duration {
	at := t.began.Load()
	if at == 0 {
		return 0
	}
	return time.Since(turnZero) - time.Duration(at)
}
