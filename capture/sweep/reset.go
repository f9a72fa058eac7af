package sweep

import (
	"net/netip"
	"time"

	"sonde/capture/frame"
)

// resetsMost bounds the resets that wait to be sent. Beyond, none is sent, and
// the SYN-ACK comes again.
const resetsMost = 1 << 12

// resetEvery is how long resets wait for others.
const resetEvery = time.Millisecond

// A reset ends what a SYN-ACK has begun. The kernel sends one as well, unless a
// firewall of this machine keeps it from knowing of the SYN-ACK.
type reset struct {
	src      source
	dst      netip.Addr
	mac      [6]byte // whose frame the SYN-ACK was
	from, to uint16
	seq      uint32
}

// refuse queues a reset. A host that is too deep in debt gets none.
func (o *outlet) refuse(r reset) {
	if h := o.s.cfg.Hosts; h != nil && !h.Charge(r.dst.As16()) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) >= resetsMost {
		return
	}
	o.queue = append(o.queue, r)
	if len(o.queue) == 1 {
		signal(o.wake)
	}
}

// reset sends what was queued until end.
func (o *outlet) reset() {
	b := newBatch(min(batchMost, batchSize(o.s.cfg.Pace)))
	defer o.resetting.End()
	for {
		select {
		case <-o.stop:
			return
		case <-o.wake:
		}
		if !o.pause(resetEvery) {
			return
		}
		o.mu.Lock()
		list := o.queue
		o.queue, o.spare = o.spare[:0], list
		o.mu.Unlock()
		for len(list) > 0 {
			n := min(len(list), b.most)
			b.clear()
			for _, r := range list[:n] {
				path := frame.Path{Medium: o.medium, Src: r.src.mac, Dst: r.mac}
				b.add(r.src.rst.Put(b.room(), &path, r.dst, r.from, r.to, r.seq, 0, uint16(r.seq)))
			}
			o.resetting.Begin()
			if !o.pause(o.s.cfg.Pace.Take(n)) {
				return
			}
			done, _ := o.send(b.frames) // what is lost here the SYN-ACK's repetition brings again
			o.s.count.sent.Add(uint64(done))
			o.s.count.resets.Add(uint64(done))
			list = list[n:]
		}
		o.resetting.End()
	}
}

// pause waits. It is false after end.
func (o *outlet) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	o.resetting.End()
	defer o.resetting.Begin()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.stop:
		return false
	}
}
