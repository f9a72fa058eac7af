package passive

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/bpf"

	"sonde/capture/frame"
	"sonde/capture/link"
)

// The rhythm and the memory of the sockets.
const (
	// reopenAfter is when an interface that was lost is tried again.
	reopenAfter = 500 * time.Millisecond
	// lookEvery is how often it is looked up which interfaces there are.
	lookEvery = 5 * time.Second

	// handshakeRing holds a flood of 200,000 SYN-ACKs/s, 60 bytes each and 144
	// with what the kernel adds, for 290 ms: longer than a busy box keeps a
	// thread from running.
	handshakeRing = 8 << 20
	// datagramRing may overflow: what answers once answers again.
	datagramRing = 2 << 20
	// linger is how long a lone frame may wait: fewer wakes, and no sighting
	// is in such a hurry.
	linger = 20 * time.Millisecond
)

// A socket is what is needed of a link.Socket.
type socket interface {
	Medium() link.Medium
	Receive(yield func(frame []byte, at time.Time)) error
	Drops() (received, dropped uint64)
	Busy() time.Duration
	Close() error
}

// A Watcher listens. It is used once; its methods may be called from any
// goroutine.
type Watcher struct {
	cfg   Config
	judge *judge
	open  func(link.Config) (socket, error)
	names func() ([]string, error) // of the interfaces to listen on

	mu      sync.Mutex          // guards what follows; never held with judge.mu
	sockets map[socket]struct{} // that are open
	missed  map[string]int      // sockets that should be open and are not, by interface
}

// New returns a watcher, which opens its sockets when it runs.
func New(cfg Config) (*Watcher, error) {
	if cfg.Contains == nil || len(cfg.Interfaces) == 0 && cfg.Overlaps == nil {
		return nil, errors.New("passive: no scope")
	}
	if len(cfg.UDPPorts) > rangesMost {
		return nil, fmt.Errorf("passive: %d ranges of UDP ports, the limit is %d", len(cfg.UDPPorts), rangesMost)
	}
	cfg.defaults()
	w := &Watcher{
		cfg: cfg, judge: newJudge(&cfg),
		open:    func(c link.Config) (socket, error) { return link.Open(c) },
		sockets: map[socket]struct{}{}, missed: map[string]int{},
	}
	w.names = func() ([]string, error) { return cfg.Interfaces, nil }
	if len(cfg.Interfaces) == 0 {
		w.names = func() ([]string, error) { return interfacesOf(cfg.Overlaps) }
	}
	return w, nil
}

// Sightings is where sightings come. It is never closed. It has room for some
// thousand; when nobody takes them, what is seen is counted, and told when it
// is seen the next time.
func (w *Watcher) Sightings() <-chan Sighting { return w.judge.out }

// Addresses are the IPv6 addresses in the scope that were told and were seen
// within the last day, in order; 16,384 at most.
func (w *Watcher) Addresses() []netip.Addr { return w.judge.seen(time.Now()) }

// Stats is what was seen so far.
func (w *Watcher) Stats() Stats {
	s := w.judge.count.stats()
	w.mu.Lock()
	defer w.mu.Unlock()
	for o := range w.sockets {
		received, dropped := o.Drops()
		s.KernelReceived += received
		s.KernelDropped += dropped
	}
	return s
}

// Busy is how long the socket that is longest at the frames that came last has
// been at them; 0 when all wait. More than seconds means that it hangs.
func (w *Watcher) Busy() (most time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for o := range w.sockets {
		most = max(most, o.Busy())
	}
	return most
}

// Down are the interfaces that should be listened on and are not, in order.
func (w *Watcher) Down() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for name := range w.missed {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Name names the watcher among the tasks of a daemon.
func (w *Watcher) Name() string { return "passive" }

// Run listens until ctx ends. It calls ready once each interface was tried:
// one that is down or missing is tried again for as long as it takes, and so is
// one that goes. It fails with link.ErrNoPermission and link.ErrUnsupported
// only.
func (w *Watcher) Run(ctx context.Context, ready func()) error {
	work, stop := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop(nil)
	running := map[string]context.CancelFunc{}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for work.Err() == nil {
		names, err := w.names()
		if err != nil {
			w.cfg.Log.Warn("look up interfaces", "err", err)
		} else {
			w.follow(work, stop, names, running, &all)
		}
		if ready != nil && work.Err() == nil {
			ready()
			ready = nil
		}
		select {
		case <-work.Done():
		case <-look.C:
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(work)
}

// follow begins to listen on the interfaces that are new, ends it on those that
// are gone, and returns when each new one was tried.
func (w *Watcher) follow(ctx context.Context, fail context.CancelCauseFunc, names []string,
	running map[string]context.CancelFunc, all *sync.WaitGroup) {
	for name, cancel := range running {
		if !slices.Contains(names, name) {
			cancel()
			delete(running, name)
		}
	}
	var tried sync.WaitGroup
	for _, name := range names {
		if running[name] != nil {
			continue
		}
		one, cancel := context.WithCancel(ctx)
		running[name] = cancel
		for _, k := range w.kinds() {
			tried.Add(1)
			once := sync.OnceFunc(tried.Done)
			all.Go(func() {
				defer once()
				if err := w.listen(one, name, k, once); err != nil {
					fail(err)
				}
			})
		}
	}
	tried.Wait()
}

// A kind is what a socket is for.
type kind struct {
	ring   int
	filter func(link.Medium) []bpf.Instruction
	look   func(l *looker, b []byte, at time.Time)
}

func (w *Watcher) kinds() []kind {
	ks := []kind{{handshakeRing, func(m link.Medium) []bpf.Instruction {
		return handshakes(m == link.Ethernet, w.cfg.OwnPorts)
	}, (*looker).handshake}}
	if len(w.cfg.UDPPorts) > 0 {
		ks = append(ks, kind{datagramRing, func(m link.Medium) []bpf.Instruction {
			return datagrams(m == link.Ethernet, w.cfg.UDPPorts, w.cfg.OwnPorts)
		}, (*looker).datagram})
	}
	return ks
}

// listen opens and reads one socket until ctx ends, and opens it anew whenever
// it is lost. It calls tried after the first attempt.
func (w *Watcher) listen(ctx context.Context, name string, k kind, tried func()) error {
	lost := false
	for ctx.Err() == nil {
		s, err := w.open(link.Config{
			Interface: name, Filter: k.filter, RingBytes: k.ring, Linger: linger,
			Outgoing: true, AllMulticast: true,
			Promiscuous: w.cfg.Promiscuous, Tagged: w.cfg.Promiscuous,
		})
		if errors.Is(err, link.ErrNoPermission) || errors.Is(err, link.ErrUnsupported) {
			return err
		}
		if err == nil {
			w.opened(s, name, lost)
			lost = false
			tried()
			err = w.receive(ctx, s, newLooker(w.judge, &w.cfg, frame.Medium(s.Medium()), name), k)
		}
		if ctx.Err() != nil {
			break
		}
		if !lost {
			lost = true
			w.miss(name, 1)
			w.cfg.Log.Warn("listen on interface", "interface", name, "err", err)
		}
		tried()
		pause(ctx, reopenAfter)
	}
	if lost {
		w.miss(name, -1)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// receive reads a socket until it fails or ctx ends, and closes it.
func (w *Watcher) receive(ctx context.Context, s socket, l *looker, k kind) error {
	closed := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() { defer close(closed); _ = s.Close() })
	err := s.Receive(func(b []byte, at time.Time) { k.look(l, b, at) })
	if cancel() {
		_ = s.Close()
	} else {
		<-closed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sockets, s)
	received, dropped := s.Drops()
	w.judge.count.receivedBefore.Add(received)
	w.judge.count.droppedBefore.Add(dropped)
	return err
}

func (w *Watcher) opened(s socket, name string, again bool) {
	w.mu.Lock()
	w.sockets[s] = struct{}{}
	w.mu.Unlock()
	if again {
		w.miss(name, -1)
		w.judge.count.reopened.Add(1)
		w.cfg.Log.Info("listening on interface again", "interface", name)
	}
}

func (w *Watcher) miss(name string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.missed[name] += n; w.missed[name] == 0 {
		delete(w.missed, name)
	}
}
