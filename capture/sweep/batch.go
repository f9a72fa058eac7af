package sweep

import "sonde/capture/frame"

// batchMost is how many packets go at once: as many as package link hands to
// the kernel by one system call.
const batchMost = 128

// batchSize is how many packets may be built ahead of their budget: half of
// what it lets go at once, so that a batch never waits for its own end.
func batchSize(p Pacer) int { return min(max(p.Burst()/2, 1), batchMost) }

// A batch is packets that leave by one interface, in buffers that are used
// again.
type batch struct {
	out    *outlet
	err    error // what kept some from leaving
	most   int
	bufs   [][]byte
	frames [][]byte
}

func newBatch(most int) *batch {
	b := &batch{most: most, bufs: make([][]byte, most), frames: make([][]byte, 0, most)}
	all := make([]byte, most*bufLen)
	for i := range b.bufs {
		b.bufs[i] = all[i*bufLen : (i+1)*bufLen : (i+1)*bufLen]
	}
	return b
}

// bufLen holds any packet without a payload.
const bufLen = (frame.MaxHeaders + 63) / 64 * 64

func (b *batch) clear()     { b.frames = b.frames[:0] }
func (b *batch) full() bool { return len(b.frames) == b.most }

// room gives the buffer of the next packet, of which full is false.
func (b *batch) room() []byte { return b.bufs[len(b.frames)] }

// roomFor is room for a packet of n bytes.
func (b *batch) roomFor(n int) []byte {
	if i := len(b.frames); len(b.bufs[i]) < n {
		b.bufs[i] = make([]byte, n)
	}
	return b.room()
}

// add takes the n bytes that were written to room.
func (b *batch) add(n int) { b.frames = append(b.frames, b.room()[:n]) }
