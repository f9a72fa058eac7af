//go:build linux

package capturetest

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// recordBlocks of a ring hold some 500,000 small frames: ten seconds of
// 50,000 per second in which the recorder gets no time at all.
const recordBlocks = 256

// A Recorder keeps what it saw of every frame of one interface.
type Recorder struct {
	ring *ring
	done chan struct{} // closed when the reader has ended

	mu     sync.Mutex // guards what follows
	frames []Frame
	flight uint64 // how often the reader has had nothing to read
}

// Record captures all frames of an interface, in both directions, until the
// test ends; a frame that the kernel had no room for fails it. Frames that
// their sender took past the queues (PACKET_QDISC_BYPASS) are seen at the
// other end of the link only: a proof of what a host sends has to be recorded
// there, as what came in.
func Record(t testing.TB, p Port) *Recorder { t.Helper(); return record(t, p, false) }

// RecordReceived is Record of what comes in alone.
func RecordReceived(t testing.TB, p Port) *Recorder { t.Helper(); return record(t, p, true) }

func record(t testing.TB, p Port, incoming bool) *Recorder {
	t.Helper()
	r := &Recorder{done: make(chan struct{})}
	p.In.Do(t, func() (err error) {
		r.ring, err = openRing(p.Name, ringConfig{blocks: recordBlocks, incoming: incoming})
		return err
	})
	go func() {
		defer close(r.done)
		r.ring.read(r.keep, r.idle)
	}()
	t.Cleanup(func() {
		r.ring.stop()
		<-r.done
		if n, err := r.ring.dropped(); err != nil || n != 0 {
			t.Errorf("capture of %s lost %d frames: %v", p.Name, n, err)
		}
		r.ring.close()
	})
	return r
}

func (r *Recorder) keep(rf ringFrame) {
	f := parseEthernet(rf.bytes)
	f.At, f.Outgoing = rf.at, rf.outgoing
	if rf.tagged {
		f.VLAN = rf.vlan
	}
	if rf.unsummed {
		f.BadSum = false // veth hands on what a device would have completed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, f)
}

func (r *Recorder) idle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight++
}

// Frames gives all frames up to now, in their order. What has crossed the link
// before the call is among them.
func (r *Recorder) Frames() []Frame {
	r.settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.frames)
}

// settle waits until the kernel has handed over what it holds: a block is
// given within ringRetire (and some jiffies), and then read.
func (r *Recorder) settle() {
	time.Sleep(5 * ringRetire)
	r.mu.Lock()
	goal := r.flight + 2
	r.mu.Unlock()
	for {
		r.mu.Lock()
		now := r.flight
		r.mu.Unlock()
		select {
		case <-r.done:
			return
		case <-time.After(ringRetire / 2):
		}
		if now >= goal {
			return
		}
	}
}

// Received are the frames that came in over the interface.
func (r *Recorder) Received() []Frame {
	var in []Frame
	for _, f := range r.Frames() {
		if !f.Outgoing {
			in = append(in, f)
		}
	}
	return in
}

// Count says how many frames there are of each class.
func Count(frames []Frame) map[Class]int {
	n := map[Class]int{}
	for i := range frames {
		n[frames[i].Class()]++
	}
	return n
}

// Busiest is the most frames of any window of the given length, which may begin
// at any frame. The frames are in order of time.
func Busiest(frames []Frame, window time.Duration) int {
	most, first := 0, 0
	for i := range frames {
		for frames[i].At.Sub(frames[first].At) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
