package sweep

import (
	"context"
	"sync"
	"time"

	"sonde/capture"
)

// inboxMost is how many answers may wait for the one who is told them: those
// of a tenth of a second at 160,000 per second, about 4 MiB.
const inboxMost = 1 << 14

// An inbox is the way of answers from the receivers, which must not wait, to
// the caller of Sweep, who may take his time. What finds no room counts as
// lost, and its target as not answered.
type inbox struct {
	wake  chan struct{} // holds one at most; never closed
	press chan struct{} // likewise, of an inbox that is half full
	over  chan struct{} // likewise, of a chunk whose last target has answered

	mu      sync.Mutex // guards what follows, and the setting of chunks' bits
	waiting []reply
	spare   []reply
	lost    uint64
	roomy   sync.Cond // signalled when waiting was emptied
	closed  bool      // nobody takes any more
}

func newInbox() *inbox {
	in := &inbox{wake: make(chan struct{}, 1), press: make(chan struct{}, 1),
		over: make(chan struct{}, 1)}
	in.roomy.L = &in.mu
	return in
}

// verdict is what became of an answer.
type verdict uint8

const (
	fresh verdict = iota
	duplicate
	late   // its chunk is closed, or not open yet
	noRoom // it counts as lost
)

// answer takes the reply of a target if it is the first.
func (in *inbox) answer(w *window, pos uint64, r *capture.Reply) verdict {
	in.mu.Lock()
	defer in.mu.Unlock()
	c := w.find(pos)
	switch {
	case c == nil:
		return late
	case c.isDone(int(pos - c.first)):
		return duplicate
	case len(in.waiting) >= inboxMost || in.closed:
		in.lost++
		return noRoom
	}
	if c.finish(int(pos - c.first)); c.allDone() {
		signal(in.over)
	}
	in.push(reply{Reply: *r})
	return fresh
}

// settle is answer for the sender itself, which waits for room.
func (in *inbox) settle(t target, r *capture.Reply) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.waiting) >= inboxMost && !in.closed {
		in.roomy.Wait()
	}
	if !t.c.finish(t.i) {
		return false
	}
	in.push(reply{Reply: *r})
	return true
}

// drop finishes a target without a reply, and says whether it was open.
func (in *inbox) drop(t target) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return t.c.finish(t.i)
}

// retire closes a chunk: no answer is taken for it any more. If mark is set,
// everything below pos has been told when the caller comes upon it.
func (in *inbox) retire(w *window, c *chunk, mark bool, pos uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	w.slot(c.first).Store(nil)
	if mark {
		in.push(reply{mark: true, pos: pos})
	}
}

// push appends a reply. The lock is held.
func (in *inbox) push(r reply) {
	in.waiting = append(in.waiting, r)
	switch len(in.waiting) {
	case 1:
		signal(in.wake)
	case inboxMost / 2:
		signal(in.press)
	}
}

// signal puts the one value into a channel, unless it is there.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// gather waits until more has come, but no longer than d.
func (in *inbox) gather(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-in.press:
	case <-t.C:
	case <-ctx.Done():
	}
}

// take gives what waits, valid until the next call.
func (in *inbox) take() []reply {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := in.waiting
	clear(in.spare)
	in.waiting, in.spare = in.spare[:0], out
	in.roomy.Broadcast()
	return out
}

// close lets nobody wait for room any more, and gives the room back.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.waiting, in.spare = true, nil, nil
	in.roomy.Broadcast()
}

// losses is how many answers found no room.
func (in *inbox) losses() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.lost
}
