package engine

import (
	"sync"
	"sync/atomic"
	"time"
)

// A base is what the loops of all systems have in common: time, timers and
// posted functions.
type base struct {
	start time.Time // of the loop's life; times of the wheel count from it
	now   time.Time // of this turn
	wheel wheel
	spare []func()     // memory of the batch that ran last
	again bool         // this turn was asked to try again what waits
	turns atomic.Int64 // when this turn began, after start; 0: the loop waits

	mu     sync.Mutex // guards what follows
	posted []func()
	closed bool
	nudged bool
	// wakeup ends the wait of the loop. It is called with mu held, and not
	// after closed is seen by the loop, so that it may use the loop's files.
	wakeup func()
}

func (b *base) init(wakeup func()) {
	b.start = time.Now()
	b.now = b.start
	b.wakeup = wakeup
}

// Post implements [Loop].
func (b *base) Post(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.posted = append(b.posted, f)
	if len(b.posted) == 1 { // else it was woken already
		b.wakeup()
	}
	return true
}

// nudge makes the loop try again what waits for resources.
func (b *base) nudge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && !b.nudged {
		b.nudged = true
		b.wakeup()
	}
}

// stop makes this turn of the loop its last.
func (b *base) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.wakeup()
	}
}

// Now implements [Loop].
func (b *base) Now() time.Time { return b.now }

// elapsed is Now as the wheel counts it.
func (b *base) elapsed() time.Duration { return b.now.Sub(b.start) }

// turn begins a turn: it reads the clock.
func (b *base) turn() {
	b.now = time.Now()
	b.turns.Store(max(1, int64(b.elapsed())))
}

// rest ends a turn.
func (b *base) rest() { b.turns.Store(0) }

// busy is how long this turn takes already. Any goroutine may ask.
func (b *base) busy() time.Duration {
	at := b.turns.Load()
	if at == 0 {
		return 0
	}
	return time.Since(b.start) - time.Duration(at)
}

// runTimers runs what is due.
func (b *base) runTimers() { b.wheel.advance(b.elapsed()) }

// runPosted runs what was posted so far, and says whether more will come.
func (b *base) runPosted() bool {
	b.mu.Lock()
	batch, closed := b.posted, b.closed
	b.again, b.nudged = b.nudged, false
	b.posted = b.spare[:0]
	b.mu.Unlock()
	for i, f := range batch {
		batch[i] = nil
		f()
	}
	b.spare = batch
	return !closed
}

// pause is how long the loop may sleep, never for good.
func (b *base) pause() time.Duration {
	at := b.wheel.next()
	if at == never {
		return never
	}
	return max(0, at-time.Since(b.start))
}

// NewTimer implements [Loop].
func (b *base) NewTimer(f func()) Timer {
	t := &funcTimer{b: b, f: f}
	t.prepare(&b.wheel, t)
	return t
}

// A funcTimer is a [Timer].
type funcTimer struct {
	timer
	b *base
	f func()
}

func (t *funcTimer) expired() { t.f() }

// Reset implements [Timer].
func (t *funcTimer) Reset(at time.Time) { t.set(at.Sub(t.b.start)) }

// Stop implements [Timer].
func (t *funcTimer) Stop() { t.stop() }
