package sweep

import (
	"math/bits"
	"sync/atomic"
	"time"

	"sonde/capture"
)

// A walk goes over the order of a plan in chunks of consecutive targets, which
// have a bit each for having been answered. A chunk is open from its first
// packet until its targets have answered or were asked often enough; rounds of
// several chunks overlap, so that nothing waits for the slowest.
//
// At R packets/s, T tries and a wait of W seconds each, R × T × W targets are
// open: 6 million at a million packets/s and 6 tries of 1 s, which is 92 chunks
// of 65,536. More than openMost (4 MiB of bits) stall the walk until one is
// done.
const (
	chunkMost  = 1 << 16
	chunkLeast = 1 << 8
	openMost   = 512
)

// chunkSpan is about how long one round of a chunk takes: short beside what a
// crash may cost, long beside the wait for its answers.
const chunkSpan = 4 * time.Second

// chunkSize is a power of two from chunkLeast to chunkMost.
func chunkSize(p Pacer) uint64 {
	if _, ok := p.(unlimited); ok {
		return chunkMost
	}
	r, ok := p.(*Rate)
	if !ok { // a budget tells its burst alone, a hundredth to a twentieth of a second
		return size(uint64(p.Burst()) * 40)
	}
	return size(uint64(chunkSpan / r.interval))
}

func size(n uint64) uint64 {
	n = min(max(n, chunkLeast), chunkMost)
	return 1 << (bits.Len64(n) - 1)
}

// A chunk is a stretch of the order.
type chunk struct {
	first uint64 // position of its first target
	n     int    // targets

	// done has the bits of targets that need no more packets. They are set
	// under the inbox's lock, and read by the sender without it.
	done []atomic.Uint64
	left atomic.Int64 // targets whose bits are not set

	// The sender's:
	round    int       // 0 is the first
	repeats  int       // of this round, because answers may have been lost
	next     int       // target that the round goes on with
	parked   int       // targets of the round that wait for their hosts
	began    time.Time // of the round
	due      time.Time // when the round's answers had their time
	lossMark uint64    // what had been lost when the round began
}

func newChunk(first uint64, n int) *chunk {
	c := &chunk{first: first, n: n, done: make([]atomic.Uint64, (n+63)/64)}
	c.left.Store(int64(n))
	return c
}

// allDone says whether no target needs more packets.
func (c *chunk) allDone() bool { return c.left.Load() == 0 }

// isDone reads the bit of target i of the chunk.
func (c *chunk) isDone(i int) bool { return c.done[i/64].Load()&(1<<(i%64)) != 0 }

// finish sets the bit of target i, and says whether it was not set before. The
// inbox's lock is held.
func (c *chunk) finish(i int) bool {
	w, bit := &c.done[i/64], uint64(1)<<(i%64)
	old := w.Load()
	if old&bit != 0 {
		return false
	}
	w.Store(old | bit)
	c.left.Add(-1)
	return true
}

// seek gives the first target from i on that is not done, or c.n.
func (c *chunk) seek(i int) int {
	for i < c.n {
		if open := ^c.done[i/64].Load() >> (i % 64); open != 0 {
			return min(i+bits.TrailingZeros64(open), c.n)
		}
		i = (i/64 + 1) * 64
	}
	return c.n
}

// window finds the open chunk of a position.
type window struct {
	from, size uint64
	slots      [openMost]atomic.Pointer[chunk]
}

func (w *window) slot(pos uint64) *atomic.Pointer[chunk] {
	return &w.slots[(pos-w.from)/w.size%openMost]
}

// find gives the chunk that a position is in, or nil if it is not open.
func (w *window) find(pos uint64) *chunk {
	if pos < w.from {
		return nil
	}
	c := w.slot(pos).Load()
	if c == nil || pos < c.first || pos-c.first >= uint64(c.n) {
		return nil
	}
	return c
}

// target is one of a chunk.
type target struct {
	c *chunk
	i int
}

func (t target) position() uint64 { return t.c.first + uint64(t.i) }

// reply is what became of a target.
type reply struct {
	capture.Reply
	mark bool // none: everything below position is told
	pos  uint64
}
