// Package onlink finds out who lives on the links of this machine: by ARP and
// neighbour discovery, by ICMP echo, and for IPv6 by calling all nodes, never
// by walking a prefix of 2^64 addresses. It also finds the link-layer address
// of a next hop.
//
// A [Host] is told only when it answered a request of ours: what others send,
// and what the kernel knows, is where to ask, not proof. Hosts of a link can lie
// about addresses there all the same; ARP and neighbour discovery have no means
// against that.
//
// All goes by frames of our own, so the kernel's neighbour table, which is
// small and shared by the whole machine, gains no entry. A [Finder] may be used
// by any number of goroutines. It holds one socket for each interface that was
// asked for, 16 bytes for a neighbour and a bit for a target: what bounds each
// is a constant.
package onlink

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// Errors of a Finder. After Close, its methods fail with net.ErrClosed.
var (
	ErrUnresolved = errors.New("neighbour does not answer")
	ErrTooMany    = errors.New("too many addresses for one link")
	ErrMedium     = errors.New("interface without neighbours")
)

// Routes is what a Finder asks the kernel. *route.Table is one.
type Routes interface {
	Hop(dst netip.Addr, via string) (route.Hop, error)
	Interfaces() ([]route.Interface, error)
	Addresses() ([]route.Address, error)
	Neighbor(link int, a netip.Addr) (route.Neighbor, error)
	Neighbors(link int) ([]route.Neighbor, error)
}

// A Port sends and receives frames on one interface.
type Port interface {
	// Send sends the frames in order, and gives how many the kernel took.
	Send(frames [][]byte) (int, error)
	// Receive calls yield with each frame, which is valid during the call
	// only, until the port is closed or lost.
	Receive(yield func(frame []byte, at time.Time)) error
	// Busy is how long Receive has been at what it handed over last.
	Busy() time.Duration
	// Close may be called more than once.
	Close() error
}

// portRing is what one interface may have received and not yet been looked at:
// 256 KiB, the least there is, holds 1,800 short frames.
const portRing = 256 << 10

// OpenLink opens an interface for what tells of neighbours. The socket belongs
// to the network namespace of the calling thread.
func OpenLink(l route.Interface) (Port, error) {
	return link.Open(link.Config{Interface: l.Name, Filter: link.NeighborFilter(),
		RingBytes: portRing, AllMulticast: true})
}

// Config is what a Finder may do.
type Config struct {
	Routes Routes

	// Open opens an interface; OpenLink is for real ones.
	Open func(l route.Interface) (Port, error)

	// Wait, if set, is asked before each packet for an address, and returns
	// when it may be sent. Its error ends what sends it. Requests for the next
	// hops of others are not counted: they are few.
	Wait func(ctx context.Context, addr netip.Addr) error

	// Tries is how often silence is asked again, 3 if zero (RFC 4861:
	// MAX_MULTICAST_SOLICIT).
	Tries int

	// Retry lies between two tries, and is waited after the last, 1 s if zero
	// (RFC 4861: RETRANS_TIMER).
	Retry time.Duration

	// Patience is how long a lost interface is waited for, 60 s if zero.
	Patience time.Duration

	// Log takes what is worth a person's attention: nothing, if nil.
	Log *slog.Logger
}

// A Host is an address that answered.
type Host struct {
	Addr   netip.Addr // with the interface as its zone if link-local
	MAC    [6]byte    // of what answered; zero where a router lies between
	Link   int        // index of the interface
	Reason string     // "arp-response", "nd-response" or "echo-reply"
	At     time.Time
}

// Stats is what was done.
type Stats struct {
	Targets uint64 // asked
	Skipped uint64 // not asked: excluded, our own, or not to be reached so
	Sent    uint64 // requests, repeats included
	Alive   uint64 // told
	Lost    uint64 // times that the interface was lost, and came back
	Ignored uint64 // sightings beyond what is remembered

	Unresolved uint64 // packets not sent as their router did not answer
}

func (s *Stats) add(o Stats) {
	s.Targets += o.Targets
	s.Skipped += o.Skipped
	s.Sent += o.Sent
	s.Alive += o.Alive
	s.Lost += o.Lost
	s.Ignored += o.Ignored
	s.Unresolved += o.Unresolved
}

// Finder finds neighbours. Close ends it.
type Finder struct {
	cfg Config
	key maphash.Seed // of identifiers that an answer must bring back

	stop chan struct{} // closed by Close

	mu       sync.Mutex // guards what follows
	closed   bool
	stations map[int]*station
	losses   map[int]uint64 // of interfaces, by index; as many as there ever were
	running  sync.WaitGroup // receivers and refreshes; begun with mu held

	watching  sync.RWMutex // guards observers, and is held while they are called
	observers map[*observer]struct{}

	known neighbors
}

// New completes cfg with its defaults. Routes and Open must be set.
func New(cfg Config) *Finder {
	if cfg.Wait == nil {
		cfg.Wait = func(ctx context.Context, _ netip.Addr) error { return ctx.Err() }
	}
	if cfg.Tries <= 0 {
		cfg.Tries = 3
	}
	if cfg.Retry <= 0 {
		cfg.Retry = time.Second
	}
	if cfg.Patience <= 0 {
		cfg.Patience = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &Finder{cfg: cfg, key: maphash.MakeSeed(), stop: make(chan struct{}), stations: map[int]*station{},
		losses: map[int]uint64{}, observers: map[*observer]struct{}{}}
	f.known.byKey = map[key]*neighbor{}
	return f
}

// Close closes all interfaces and waits for what runs. It may be called again.
func (f *Finder) Close() error {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.stop)
	}
	var ports []Port
	for i, s := range f.stations {
		ports = append(ports, s.port)
		delete(f.stations, i)
	}
	f.mu.Unlock() // closing waits for receivers, which may want it
	var errs []error
	for _, p := range ports {
		errs = append(errs, p.Close())
	}
	f.running.Wait()
	return errors.Join(errs...)
}

// An observer is called with each packet that an interface received, on the
// receiver's goroutine.
type observer struct {
	link int
	see  func(s *station, p *frame.Packet, at time.Time)
}

// observe adds an observer; its result takes it off, after which it is not
// called any more.
func (f *Finder) observe(link int, see func(*station, *frame.Packet, time.Time)) (stop func()) {
	o := &observer{link, see}
	f.watching.Lock()
	defer f.watching.Unlock()
	f.observers[o] = struct{}{}
	return func() {
		f.watching.Lock()
		defer f.watching.Unlock()
		delete(f.observers, o)
	}
}

// station gives the open interface.
func (f *Finder) station(l route.Interface) (*station, error) {
	var old *station
	defer func() {
		if old != nil { // with mu let go: closing waits for its receiver
			_ = old.port.Close()
		}
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, net.ErrClosed
	}
	if s := f.stations[l.Index]; s != nil && s.link == l {
		return s, nil
	} else if s != nil {
		old = s // its MAC or name is another one now
		delete(f.stations, l.Index)
	}
	port, err := f.cfg.Open(l)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", l.Name, err)
	}
	s := newStation(l, port)
	f.stations[l.Index] = s
	f.running.Go(func() { f.receive(s) })
	return s, nil
}

// lost takes off an interface that does not work any more.
func (f *Finder) lost(s *station) {
	f.mu.Lock()
	if f.stations[s.link.Index] == s {
		delete(f.stations, s.link.Index)
	}
	f.losses[s.link.Index]++
	f.mu.Unlock()
	_ = s.port.Close() // it is lost already
}

// Busy is how long the interface that is longest at the frames that came last has
// been at them; 0 when all wait. More than seconds means that it hangs.
func (f *Finder) Busy() (most time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.stations {
		most = max(most, s.port.Busy())
	}
	return most
}

// lossesOf counts how often the interfaces of a sweep were lost.
func (f *Finder) lossesOf(watched map[int]func()) (n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range watched {
		n += f.losses[i]
	}
	return n
}

// receive shows what an interface receives, until it is closed or lost.
func (f *Finder) receive(s *station) {
	var p frame.Packet
	err := s.port.Receive(func(b []byte, at time.Time) {
		if p.Decode(s.medium, b) != nil {
			return
		}
		f.known.heard(s, &p, at)
		f.watching.RLock()
		defer f.watching.RUnlock()
		for o := range f.observers {
			if o.link == s.link.Index {
				o.see(s, &p, at)
			}
		}
	})
	if err != nil && !errors.Is(err, net.ErrClosed) {
		f.cfg.Log.Info("interface lost", "interface", s.link.Name, "err", err)
	}
	f.lost(s)
}

// identity gives 32 bits that belong to an address, and that nobody else can
// tell.
func (f *Finder) identity(a netip.Addr) uint32 {
	return uint32(maphash.Comparable(f.key, a.WithZone("")))
}
