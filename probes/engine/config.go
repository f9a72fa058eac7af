package engine

import (
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"
)

// Config is what an [Engine] may do.
type Config struct {
	// Loops is how many event loops there are; 0: one per CPU that the program
	// may use. At most maxLoops.
	Loops int

	// MaxSockets is how many sockets all loops together hold at once; what is
	// opened beyond that waits. 0: what the limit of open files leaves, see
	// fileReserve.
	MaxSockets int

	// Log takes what is worth a person's attention: nothing, if nil.
	Log *slog.Logger
}

// maxLoops bounds Loops: one loop serves some 100,000 short conversations per
// second, so that 16 are more than any rate limit lets through.
const maxLoops = 16

// complete fills in the defaults.
func (c *Config) complete() {
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	c.Loops = min(c.Loops, maxLoops)
	if c.MaxSockets <= 0 {
		c.MaxSockets = socketsWithin(fileLimit())
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// fileReserve is how many descriptors are left to the rest of the program:
// store, outputs, sockets of control and discovery, loops. Where a quarter of
// the limit is less, that is left.
const fileReserve = 256

// socketsWithin is how many of so many descriptors may be our sockets.
func socketsWithin(files uint64) int {
	files = min(files, 1<<20) // what Linux allows to a process by default
	return max(1, int(files-min(fileReserve, files/4)))
}

// An Engine is a number of event loops with one budget of sockets. [New] makes
// the one that fits the system best.
type Engine struct {
	loops []runner
	pool  *pool
	wg    sync.WaitGroup
}

// A runner is a loop as its engine sees it.
type runner interface {
	Loop
	run()   // until stop; ends all connections before it returns
	stop()  // any goroutine may call it, more than once
	nudge() // any goroutine: what waits for resources is to be tried again
	busy() time.Duration
}

// start runs the loops.
func start(p *pool, loops []runner) *Engine {
	e := &Engine{loops: loops, pool: p}
	p.loops = loops
	for _, l := range loops {
		e.wg.Go(l.run)
	}
	return e
}

// Loops gives the loops. They share nothing but the budget of sockets.
func (e *Engine) Loops() []Loop {
	loops := make([]Loop, len(e.loops))
	for i, l := range e.loops {
		loops[i] = l
	}
	return loops
}

// Close ends all loops: what was posted still runs, then each connection is
// told Ended([net.ErrClosed]); timers do not fire any more. Close returns when
// the goroutines are gone and the sockets closed. It may be called more than
// once, but not from a loop.
func (e *Engine) Close() error {
	for _, l := range e.loops {
		l.stop()
	}
	e.wg.Wait()
	return nil
}

// Busy is how long the loop that is longest at its present turn has been at it;
// 0 when all wait for something to happen. A turn takes milliseconds, so a loop
// that is busy for seconds hangs in a handler.
func (e *Engine) Busy() (most time.Duration) {
	for _, l := range e.loops {
		most = max(most, l.busy())
	}
	return most
}

// Stats tells what the sockets of the engine are doing.
func (e *Engine) Stats() Stats { return e.pool.stats() }

// errClosed is told to what is open, or opened, when the engine is closed.
var errClosed = net.ErrClosed
