package capture

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The networks of a Target.
const (
	TCP = "tcp"
	UDP = "udp"
)

// A Target is one port to be tried.
type Target struct {
	Addr    netip.AddrPort
	Network string // TCP or UDP
}

// Config is what a [Connect] may do.
type Config struct {
	// Concurrency is how many tries may wait for their answers at once, 500 if
	// zero. Each takes a file descriptor and a goroutine.
	Concurrency int

	// Timeout is how long one try waits, 1 s if zero.
	Timeout time.Duration

	// Tries is how often silence is tried before it is believed, 2 if zero.
	Tries int

	// RetryDelay lies between a silent try and the next.
	RetryDelay time.Duration

	// Wait, if set, is asked before each packet to an address, and returns
	// when it may be sent. Its error ends the sweep.
	Wait func(ctx context.Context, addr netip.Addr) error

	// Payloads, if set, gives the datagrams that may draw an answer from a UDP
	// port. They are sent one after the other until one does. Without any, an
	// empty datagram is sent.
	Payloads func(port uint16) [][]byte

	// Interface, if not empty, is the one that all tries are made by, whatever
	// the routes say. A target is not tried where a socket cannot be bound to
	// it: because it is not there, that is not permitted, or the system is not
	// Linux.
	Interface string

	// Guard, if set, keeps tries from filling the kernel's neighbour table, and
	// tells who is not there from who is silent.
	Guard *Guard

	// Log takes what is worth a person's attention: nothing, if nil.
	Log *slog.Logger
}

// Connect finds out which ports answer with the sockets that every program
// may open: a TCP connect, which is closed at once when it succeeds, and a
// connected UDP socket, which learns of ICMP errors. It needs no privilege.
//
// A Connect is immutable; any number of sweeps may share it.
type Connect struct{ cfg Config }

// NewConnect completes cfg with its defaults.
func NewConnect(cfg Config) *Connect {
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = 500
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Second
	}
	if cfg.Tries <= 0 {
		cfg.Tries = 2
	}
	if cfg.Wait == nil {
		cfg.Wait = func(ctx context.Context, _ netip.Addr) error { return ctx.Err() }
	}
	if cfg.Payloads == nil {
		cfg.Payloads = func(uint16) [][]byte { return nil }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Connect{cfg}
}

// Sweep tries each target of the plan, as Look does. It fails for a plan whose
// Len does.
func (c *Connect) Sweep(ctx context.Context, p Plan, yield func(Reply)) (Stats, error) {
	if _, err := p.Len(); err != nil {
		return Stats{}, err
	}
	return c.run(ctx, p.numbered(), newMarks(&p, time.Now()), yield)
}

// Look tries each target and calls yield once for each, with what became of
// it. Calls of yield do not overlap, but come from several goroutines; while
// one lasts, no other reply is taken. A target that could not be tried for
// local reasons is Unreachable with a reason that begins with "not-tried".
//
// When ctx ends, Look returns its error at once, and the targets that were
// still waiting get no reply. No goroutine outlives Look.
func (c *Connect) Look(ctx context.Context, targets iter.Seq[Target], yield func(Reply)) (Stats, error) {
	return c.run(ctx, func(yield func(uint64, Target) bool) {
		for t := range targets {
			if !yield(0, t) {
				return
			}
		}
	}, marks{}, yield)
}

// A job is a target under way, and its number among the marks.
type job struct {
	Target
	number uint64
}

func (c *Connect) run(ctx context.Context, targets iter.Seq2[uint64, Target], m marks, yield func(Reply)) (Stats, error) {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &sweep{Config: c.cfg, yield: yield, marks: m, fail: cancel, freed: make(chan struct{}, 1)}
	work := make(chan job) // closed below, when the sequence or ctx ends
	var workers sync.WaitGroup
	idle := c.cfg.Concurrency // workers not yet started
feed:
	for place, t := range targets {
		if ctx.Err() != nil {
			break
		}
		j := job{t, s.begin(place)}
		if idle > 0 {
			idle--
			workers.Go(func() { s.worker(ctx, j, work) })
			continue
		}
		select {
		case work <- j:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	workers.Wait()
	err := outer.Err()
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return s.stats, fmt.Errorf("connect sweep: %w", err)
	}
	return s.stats, nil
}

// A sweep is one run of Look.
type sweep struct {
	Config
	fail  context.CancelCauseFunc
	freed chan struct{} // holds one wake-up at most; never closed
	last  atomic.Int64  // when a try got through, in Unix nanoseconds

	mu    sync.Mutex // guards what follows, and is held during yield
	yield func(Reply)
	stats Stats
	marks marks
}

// worker tries the first target and then those of work.
func (s *sweep) worker(ctx context.Context, first job, work <-chan job) {
	p := prober{sweep: s}
	p.run(ctx, first)
	for j := range work {
		p.run(ctx, j)
	}
}

// begin notes that the target at a place begins.
func (s *sweep) begin(place uint64) (number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks.begin(place)
}

// A prober is the memory of one worker.
type prober struct {
	*sweep
	buf []byte // for datagrams; nil until the first
}

// run tries one target until something is known about it, and tells it.
func (p *prober) run(ctx context.Context, j job) {
	t := j.Target
	var r Reply
	var err error
	var cost tally
	for try := range p.Tries {
		if try > 0 && sleep(ctx, p.RetryDelay) != nil {
			return
		}
		r, err = p.patient(ctx, t, &cost)
		if err != nil || r.Kind != Silent {
			break
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			p.fail(err)
		}
		return
	}
	r.Addr, r.Network = t.Addr, t.Network
	p.tell(r, cost, j.number)
}

// A tally is what one target cost.
type tally struct{ tries, starved uint64 }

// A try that is out of local resources waits until another one of the sweep
// ends, or for a pause that begins with starveMin and doubles up to starveMax,
// as other programs hold resources too. After starveTotal in which no try of
// the whole sweep got through, it is no passing shortage, and given up.
const (
	starveMin   = 20 * time.Millisecond
	starveMax   = 2 * time.Second
	starveTotal = time.Minute
)

// patient makes one try; while the machine has no descriptor, port or buffer
// for it, it waits and tries again.
func (p *prober) patient(ctx context.Context, t Target, cost *tally) (Reply, error) {
	began, pause := time.Now(), starveMin
	for {
		r, err := p.guarded(ctx, t, cost)
		if !errors.Is(err, errStarved) {
			p.progressed()
			return r, err
		}
		if time.Since(began) >= starveTotal && time.Since(p.lastProgress()) >= starveTotal {
			return Reply{Kind: Unreachable, Reason: notTried + ": " + reasonOf(err), At: time.Now()}, nil
		}
		if cost.starved++; cost.starved == 1 {
			p.Log.Debug("discovery waits for local resources", "target", t.Addr, "err", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-p.freed:
		case <-timer.C:
			pause = min(2*pause, starveMax)
		case <-ctx.Done():
			timer.Stop()
			return Reply{}, context.Cause(ctx)
		}
		timer.Stop()
	}
}

// progressed notes that a try got through, and wakes one that waits for what
// it gave back.
func (s *sweep) progressed() {
	s.last.Store(time.Now().UnixNano())
	select {
	case s.freed <- struct{}{}:
	default: // somebody is about to be woken already
	}
}

func (s *sweep) lastProgress() time.Time { return time.Unix(0, s.last.Load()) }

// notTried begins the reason of a Reply about what never left this machine.
const notTried = "not-tried"

func (p *prober) try(ctx context.Context, t Target, cost *tally) (Reply, error) {
	if t.Network == UDP {
		return p.datagrams(ctx, t.Addr, cost)
	}
	return p.connect(ctx, t.Addr, cost)
}

// tell counts a reply and hands it over.
func (s *sweep) tell(r Reply, cost tally, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Targets++
	s.stats.Tries += cost.tries
	if s.stats.Starved == 0 && cost.starved > 0 {
		s.Log.Warn("discovery had to wait for local resources; lower the number of connections")
	}
	s.stats.Starved += cost.starved
	switch r.Kind {
	case Accepted:
		s.stats.Accepted++
	case Answered:
		s.stats.Answered++
	case Refused:
		s.stats.Refused++
	case Silent:
		s.stats.Silent++
	case Unreachable:
		s.stats.Unreachable++
		if strings.HasPrefix(r.Reason, notTried) {
			s.stats.NotTried++
			s.stats.Degraded = true
		}
	}
	s.yield(r)
	if s.stats.Degraded {
		s.marks.tell = nil
	}
	s.marks.end(number, time.Now())
}

// sleep waits, or gives the error of a context that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
