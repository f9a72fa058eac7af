// Package sweep asks many addresses and ports with packets of its own, and
// tells each one that answers once.
//
// What a [Sweeper] tells did answer: a reply counts only if it repeats a keyed
// cookie that the packet to that target carried (the sequence number of a SYN,
// the source port of a datagram), and comes to an address that was sent from.
// A target is believed silent only when it was asked as often as Config.Tries
// says, with no packet lost on this machine meanwhile; where that cannot be
// had, the sweep's statistics say so (Degraded).
//
// Nothing but the targets of the plan is sent to, and neighbours are asked for
// those of them that lie on a link. Budgets hold at every scale of time: in a
// span of w seconds at most rate × w + Burst packets leave, and a batch that
// was built before, at most half a Burst. No connection is left half open: each
// valid SYN-ACK is answered by a RST.
//
// A Sweeper may run any number of sweeps at once. It holds its source ports
// until Close, so that neither other programs nor the kernel's own errors get
// mixed up with it.
//
// # Cost
//
// Memory does not grow with the plan: one bit for each target under way, which
// a sweep keeps in at most 512 chunks of 65,536 (4 MiB), 16,384 waiting
// answers, 65,536 targets that wait for their hosts' budget, and 48 bytes for
// each neighbour on a link. Building a packet takes no allocation. A sweep
// whose budget lets 512 packets go at once sends from two goroutines beside the
// one that builds them, and may use three CPUs with its receiver; others use
// little more than one. A sweep ends with the last answer, if all answer.
package sweep

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// A Sweeper is safe for any number of goroutines.
type Sweeper struct {
	cfg   Config
	judge judge
	hold  *hold
	count counters

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // runs, and those that linger

	// runs are the sweeps whose answers are looked for, those that linger
	// included.
	runs atomic.Pointer[[]*run]

	// disturbed counts what may have cost answers beside dropped packets: lost
	// interfaces, and neighbours that changed their address.
	disturbed atomic.Uint64

	macs macs

	opening sync.Mutex // held while an outlet is opened; before mu
	mu      sync.Mutex // guards what follows
	outlets map[string]*outlet
	dropped uint64 // by outlets that are closed
	closed  bool
}

// counters are what happened since the Sweeper was made.
type counters struct {
	sent, resets, received, validated, spoofed, duplicates, repeated atomic.Uint64
}

// New makes a Sweeper, which holds its source ports until Close.
func New(cfg Config) (*Sweeper, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	h, err := holdPorts(cfg.SourcePorts, cfg.Interface != "")
	if err != nil {
		return nil, err
	}
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	s := newSweeper(cfg, h.ports, newSecret(key))
	s.hold = h
	if held, all := len(h.ports), int(cfg.SourcePorts.Last-cfg.SourcePorts.First)+1; held < all {
		cfg.Log.Warn("some source ports of discovery are in use by others", "held", held, "of", all)
	}
	return s, nil
}

// newSweeper makes a Sweeper of a complete config that holds nothing.
func newSweeper(cfg Config, ports []uint16, key secret) *Sweeper {
	s := &Sweeper{cfg: cfg, judge: newJudge(key, ports), outlets: map[string]*outlet{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.runs.Store(&[]*run{})
	return s
}

// Close ends all sweeps with net.ErrClosed, waits for them, and gives back what
// the Sweeper holds. It may be called again.
func (s *Sweeper) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.tasks.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		s.hold.close()
		s.hold = nil
	}
	return nil
}

// SourcePorts are the ports that are held, in ascending order.
func (s *Sweeper) SourcePorts() []uint16 { return slices.Clone(s.judge.ports) }

// Totals are the packets of all sweeps since New; Rate is left zero.
func (s *Sweeper) Totals() capture.Packets {
	c := &s.count
	p := capture.Packets{Sent: c.sent.Load(), Resets: c.resets.Load(), Received: c.received.Load(),
		Validated: c.validated.Load(), Spoofed: c.spoofed.Load(), Duplicates: c.duplicates.Load(),
		Repeated: c.repeated.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Dropped = s.dropped
	for _, o := range s.outlets {
		p.Dropped += o.dropped()
	}
	return p
}

// Busy is how long the loop that is longest at one thing has been at it, of those
// that send and those that receive; 0 when all wait. More than seconds means that
// it hangs.
func (s *Sweeper) Busy() (most time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outlets {
		most = max(most, o.busy())
	}
	for _, r := range *s.runs.Load() {
		most = max(most, r.busy())
	}
	return most
}

// Sweep asks what the plan asks and calls yield, from the calling goroutine,
// for each target that answered or could not be asked. Silent ones are only
// counted. It returns when each target has answered or was asked often enough,
// or with an error when ctx ends or the Sweeper closes.
func (s *Sweeper) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	r, err := s.newRun(p)
	if err != nil {
		return capture.Stats{}, fmt.Errorf("sweep: %w", err)
	}
	if !s.enter(r) {
		return capture.Stats{}, fmt.Errorf("sweep: %w", net.ErrClosed)
	}
	defer s.leave(r)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	if err = r.run(ctx, yield); err != nil && s.ctx.Err() != nil {
		err = net.ErrClosed
	}
	if err != nil {
		err = fmt.Errorf("sweep: %w", err)
	}
	return r.result(), err
}

// enter has a run's answers looked for. It is false after Close.
func (s *Sweeper) enter(r *run) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.tasks.Add(1)
	list := append(slices.Clone(*s.runs.Load()), r)
	s.runs.Store(&list)
	return true
}

// leave lets a run linger, and then forgets it.
func (s *Sweeper) leave(r *run) {
	go func() {
		defer s.tasks.Done()
		_ = sleep(s.ctx, s.cfg.Linger)
		s.opening.Lock() // no outlet is opened for a run that begins now
		defer s.opening.Unlock()
		s.mu.Lock()
		list := slices.DeleteFunc(slices.Clone(*s.runs.Load()), func(x *run) bool { return x == r })
		s.runs.Store(&list)
		var idle []*outlet
		if len(list) == 0 {
			for name, o := range s.outlets {
				idle = append(idle, o)
				s.dropped += o.dropped()
				delete(s.outlets, name)
			}
		}
		s.mu.Unlock()
		for _, o := range idle {
			o.end()
		}
	}()
}

// outlet gives the outlet of a hop, which it opens if need be.
func (s *Sweeper) outlet(hop *route.Hop) (*outlet, error) {
	name := hop.Link.Name
	if hop.Local {
		name = "" // one for all that is this machine
	}
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	o := s.outlets[name]
	s.mu.Unlock()
	if o != nil {
		return o, nil
	}
	o, err := s.openOutlet(*hop)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outlets[name] = o
	return o, nil
}

// interrupted notes the loss of an outlet's interface.
func (s *Sweeper) interrupted(o *outlet, err error) {
	now := time.Now()
	s.disturbed.Add(1)
	reason := err.Error()
	if errors.Is(err, link.ErrDown) {
		reason = link.ErrDown.Error()
	}
	s.cfg.Notify(Event{Interface: o.hop.Link.Name, Lost: true, Reason: reason, At: now})
}

// restored notes that it is back.
func (s *Sweeper) restored(o *outlet) {
	s.disturbed.Add(1)
	s.cfg.Notify(Event{Interface: o.hop.Link.Name, At: time.Now()})
}

// answered hands an answer to the sweeps that asked. It is false if none did.
func (s *Sweeper) answered(a *answer, p *frame.Packet, at time.Time) (asked bool) {
	for _, r := range *s.runs.Load() {
		if r.proto != a.proto {
			continue
		}
		switch v, ok := r.answered(a, p, at); {
		case !ok:
			continue
		case v == fresh:
			s.count.validated.Add(1)
		case v == duplicate:
			s.count.duplicates.Add(1)
		}
		asked = true
	}
	return asked
}

// losses is how often answers may have been lost on this machine.
func (s *Sweeper) losses() uint64 {
	n := s.disturbed.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outlets {
		n += o.lost()
	}
	return n
}
