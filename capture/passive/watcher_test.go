package passive

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture/link"
)

// A fakeSocket receives what is put into frames, until it is closed or lost.
type fakeSocket struct {
	name    string
	frames  chan []byte
	lost    chan struct{} // closed by who takes the interface away
	closed  chan struct{}
	closing sync.Once
	busy    atomic.Int64
}

func (s *fakeSocket) Medium() link.Medium     { return link.Ethernet }
func (s *fakeSocket) Drops() (uint64, uint64) { return 100, 7 }
func (s *fakeSocket) Close() error            { s.closing.Do(func() { close(s.closed) }); return nil }

func (s *fakeSocket) Busy() time.Duration { return time.Duration(s.busy.Load()) }

func (s *fakeSocket) Receive(yield func([]byte, time.Time)) error {
	for {
		select {
		case b := <-s.frames:
			yield(b, time.Now())
		case <-s.lost:
			return link.ErrDown
		case <-s.closed:
			return net.ErrClosed
		}
	}
}

// A fakeNet opens fake sockets, but on interfaces that are down.
type fakeNet struct {
	mu      sync.Mutex // guards what follows
	down    map[string]error
	sockets map[string]*fakeSocket
	opened  int
	names   func() ([]string, error) // nil: as configured
}

func (n *fakeNet) open(c link.Config) (socket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.down[c.Interface]; err != nil {
		return nil, err
	}
	n.opened++
	s := &fakeSocket{name: c.Interface, frames: make(chan []byte),
		lost: make(chan struct{}), closed: make(chan struct{})}
	n.sockets[c.Interface] = s
	return s, nil
}

func (n *fakeNet) socket(name string) *fakeSocket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sockets[name]
}

func (n *fakeNet) set(name string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[name] = err
	if s := n.sockets[name]; s != nil && err != nil {
		close(s.lost)
		delete(n.sockets, name)
	}
}

func (n *fakeNet) put(t *testing.T, name string, b []byte) {
	t.Helper()
	n.mu.Lock()
	s := n.sockets[name]
	n.mu.Unlock()
	if s == nil {
		t.Fatalf("no socket on %s", name)
	}
	s.frames <- b
}

// watch runs a watcher over a fake net in a bubble and gives how it ended.
func watch(t *testing.T, cfg Config, n *fakeNet, f func(w *Watcher, cancel context.CancelFunc)) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Contains = scope("198.18.0.0/16")
		w, bad := New(cfg)
		if bad != nil {
			t.Fatal(bad)
		}
		w.open = n.open
		if n.names != nil {
			w.names = n.names
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done, ready := make(chan error, 1), make(chan struct{})
		go func() { done <- w.Run(ctx, func() { close(ready) }) }()
		select {
		case <-ready:
			synctest.Wait()
			f(w, cancel)
			cancel()
			err = <-done
		case err = <-done:
		}
	})
	return err
}

func newFakeNet() *fakeNet {
	return &fakeNet{down: map[string]error{}, sockets: map[string]*fakeSocket{}}
}

func TestWatcherTellsAndEnds(t *testing.T) {
	n := newFakeNet()
	err := watch(t, Config{Interfaces: []string{"eth0", "eth1"}}, n, func(w *Watcher, _ context.CancelFunc) {
		// The request on one interface, its answer on the other.
		n.put(t, "eth0", ether(etherIPv4, ip4(6, host2, host1, tcp(40000, 80, 99, 0, flagSYN))))
		synctest.Wait()
		n.put(t, "eth1", ether(etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 7, 100, 0x12))))
		s := <-w.Sightings()
		if s.AddrPort != endpoint("198.18.0.1:80") || !s.Begun || s.Interface != "eth1" {
			t.Errorf("told %+v", s)
		}
		if st := w.Stats(); st.Frames != 2 || st.Sightings != 1 || st.KernelDropped != 14 || st.KernelReceived != 200 {
			t.Errorf("stats %+v", st)
		}
		if got := w.Busy(); got != 0 {
			t.Errorf("both wait: busy for %v", got)
		}
		n.socket("eth1").busy.Store(int64(3 * time.Second))
		if got := w.Busy(); got != 3*time.Second {
			t.Errorf("one hangs: busy for %v, want 3s", got)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWatcherSurvivesAnInterface(t *testing.T) {
	n := newFakeNet()
	n.down["eth1"] = link.ErrDown
	err := watch(t, Config{Interfaces: []string{"eth0", "eth1"}}, n, func(w *Watcher, _ context.CancelFunc) {
		if d := w.Down(); !slices.Equal(d, []string{"eth1"}) {
			t.Errorf("down %v at the start, want eth1", d)
		}
		n.set("eth0", link.ErrDown)
		time.Sleep(3 * time.Second)
		if d := w.Down(); !slices.Equal(d, []string{"eth0", "eth1"}) {
			t.Errorf("down %v, want both", d)
		}
		n.set("eth0", nil)
		n.set("eth1", nil)
		time.Sleep(reopenAfter)
		synctest.Wait()
		if d := w.Down(); d != nil {
			t.Errorf("down %v after both came", d)
		}
		n.put(t, "eth0", ether(etherARP, arp(2, host1, host2)))
		if s := <-w.Sightings(); s.Kind != ARP {
			t.Errorf("told %+v", s)
		}
		// The lost socket's drops are kept.
		if st := w.Stats(); st.Reopened != 2 || st.KernelDropped != 21 {
			t.Errorf("stats %+v", st)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWatcherFollowsTheInterfaces(t *testing.T) {
	n := newFakeNet()
	var gone atomic.Bool
	n.names = func() ([]string, error) {
		if gone.Load() {
			return []string{"eth1"}, nil
		}
		return []string{"eth0"}, nil
	}
	err := watch(t, Config{Interfaces: []string{"eth0"}, UDPPorts: testPorts}, n, func(w *Watcher, _ context.CancelFunc) {
		if n.opened != 2 {
			t.Errorf("%d sockets, want one for handshakes and one for datagrams", n.opened)
		}
		gone.Store(true)
		time.Sleep(lookEvery)
		synctest.Wait()
		n.mu.Lock()
		one, other := n.sockets["eth0"], n.sockets["eth1"]
		n.mu.Unlock()
		select {
		case <-one.closed:
		default:
			t.Error("listens on an interface that is gone")
		}
		if other == nil {
			t.Error("does not listen on a new interface")
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWatcherFailsWithoutPermission(t *testing.T) {
	n := newFakeNet()
	n.down["eth1"] = link.ErrNoPermission
	err := watch(t, Config{Interfaces: []string{"eth0", "eth1"}}, n, func(*Watcher, context.CancelFunc) {
		t.Error("was ready")
	})
	if !errors.Is(err, link.ErrNoPermission) {
		t.Errorf("ended with %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	yes := func(netip.Addr, string, uint16) bool { return true }
	for name, cfg := range map[string]Config{
		"no scope":        {Interfaces: []string{"eth0"}},
		"no interfaces":   {Contains: yes},
		"too many ranges": {Contains: yes, Interfaces: []string{"eth0"}, UDPPorts: make([]Range, rangesMost+1)},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
