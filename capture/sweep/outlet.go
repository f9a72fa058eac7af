package sweep

import (
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// reopenEvery is how often a lost interface is tried, beside each change that
// the kernel tells of.
const reopenEvery = time.Second

// An outlet is one interface that is swept by, with the goroutines that
// receive and that send resets. It outlives the loss of the interface.
type outlet struct {
	s      *Sweeper
	hop    route.Hop // by which it was opened
	medium frame.Medium
	stop   chan struct{} // closed by end
	tasks  sync.WaitGroup

	packet frame.Packet // the receiver's

	resetting link.Turn // of the one who sends resets

	// sources are the addresses that we sent from.
	sources atomic.Pointer[map[netip.Addr]source]

	mu    sync.Mutex // guards what follows
	wire  Wire       // nil while the interface is lost
	ended bool
	gone  link.Counters // of wires that were closed
	queue []reset
	spare []reset
	wake  chan struct{} // holds one at most; never closed
}

// A source is an address of ours, which answers come to.
type source struct {
	rst *frame.TCP
	mac [6]byte
}

// openOutlet opens the interface of a hop.
func (s *Sweeper) openOutlet(hop route.Hop) (*outlet, error) {
	o := &outlet{s: s, hop: hop, stop: make(chan struct{}), wake: make(chan struct{}, 1)}
	none := map[netip.Addr]source{}
	o.sources.Store(&none)
	if err := o.open(); err != nil {
		return nil, err
	}
	o.tasks.Go(o.receive)
	o.tasks.Go(o.reset)
	return o, nil
}

func (o *outlet) open() error {
	ports := o.s.judge.ports
	w, err := o.s.cfg.Open(o.hop, link.SweepFilter(ports[0], ports[len(ports)-1]))
	if err != nil {
		return fmt.Errorf("open %s: %w", o.hop.Link.Name, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		_ = w.Close()
		return link.ErrDown
	}
	o.wire = w
	if o.medium == 0 { // it does not change with the interface's coming back
		o.medium = frame.Medium(w.Medium())
	}
	return nil
}

// send is Wire.Send while there is one.
func (o *outlet) send(frames [][]byte) (int, error) {
	o.mu.Lock()
	w := o.wire
	o.mu.Unlock()
	if w == nil {
		return 0, link.ErrDown
	}
	return w.Send(frames)
}

// lost is how many packets were lost here since the beginning, either way.
func (o *outlet) lost() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.gone.Dropped + o.gone.Refused
	if o.wire != nil {
		c := o.wire.Counters()
		n += c.Dropped + c.Refused
	}
	return n
}

// dropped is how many packets the kernel had no room for.
func (o *outlet) dropped() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.gone.Dropped
	if o.wire != nil {
		n += o.wire.Counters().Dropped
	}
	return n
}

// busy is how long the receiver has been at what came last, or the sender of
// resets at its batch.
func (o *outlet) busy() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wire == nil {
		return o.resetting.Busy()
	}
	return max(o.resetting.Busy(), o.wire.Busy())
}

// receive takes answers until end, through losses of the interface.
func (o *outlet) receive() {
	changes, unwatch := o.s.cfg.Routes.Watch()
	defer unwatch()
	for {
		o.mu.Lock()
		w := o.wire
		o.mu.Unlock()
		if w == nil {
			return
		}
		err := w.Receive(o.take)
		if !o.retire(w) {
			return
		}
		o.s.interrupted(o, err)
		if !o.reopen(changes) {
			return
		}
		o.s.restored(o)
	}
}

// retire closes a wire and remembers what it counted. It is false after end.
func (o *outlet) retire(w Wire) bool {
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return false
	}
	o.wire = nil
	o.mu.Unlock()
	_ = w.Close() // nothing is lost that we had
	c := w.Counters()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone.Dropped += c.Dropped
	o.gone.Refused += c.Refused
	return !o.ended
}

// reopen waits until the interface is back. It is false after end.
func (o *outlet) reopen(changes <-chan struct{}) bool {
	tick := time.NewTicker(reopenEvery)
	defer tick.Stop()
	for o.open() != nil {
		select {
		case <-o.stop:
			return false
		case <-changes:
		case <-tick.C:
		}
	}
	return true
}

// end closes the outlet and waits for its goroutines.
func (o *outlet) end() {
	o.mu.Lock()
	w := o.wire
	if !o.ended {
		o.ended = true
		close(o.stop)
	}
	o.mu.Unlock()
	if w != nil {
		_ = w.Close()
	}
	o.tasks.Wait()
}

// take looks at one frame.
func (o *outlet) take(b []byte, at time.Time) {
	p, s := &o.packet, o.s
	s.count.received.Add(1)
	if p.Decode(o.medium, b) != nil {
		s.count.spoofed.Add(1)
		return
	}
	src, ours := (*o.sources.Load())[p.Dst]
	a, ok := s.judge.judge(p)
	if ok = ok && ours && o.answered(&a, at); !ok && ours {
		if b, strayed := s.judge.elsewhere(p); strayed {
			ok = o.answered(&b, at)
		}
	}
	if !ok {
		s.count.spoofed.Add(1)
		return
	}
	if a.kind == capture.Accepted {
		o.refuse(reset{src: src, dst: p.Src, mac: p.SrcMAC, from: p.DstPort, to: p.SrcPort, seq: p.Ack})
	}
}

// answered says whether a run had asked for what the packet at hand answers.
func (o *outlet) answered(a *answer, at time.Time) bool {
	if a.addr.Is6() && a.addr.IsLinkLocalUnicast() {
		a.addr = a.addr.WithZone(o.hop.Link.Name)
	}
	return o.s.answered(a, &o.packet, at)
}

// from lets answers to an address of ours in, as packets leave from it.
func (o *outlet) from(src netip.Addr, mac [6]byte) error {
	for {
		old := o.sources.Load()
		known, ok := (*old)[src]
		if ok && known.mac == mac {
			return nil
		}
		if !ok {
			t, err := frame.NewRST(src)
			if err != nil {
				return err
			}
			known.rst = t
		}
		known.mac = mac
		next := maps.Clone(*old)
		next[src] = known
		if o.sources.CompareAndSwap(old, &next) {
			return nil
		}
	}
}
