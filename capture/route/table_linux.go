package route

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Table is the kernel's view of the ways out of this machine.
type Table struct {
	log *slog.Logger

	// asking guards the two request sockets and closed: a request holds it for
	// reading, Close for writing, so that no request outlives its socket.
	asking sync.RWMutex
	handle *netlink.Handle
	raw    map[int]*nl.SocketHandle
	closed bool

	gen  atomic.Uint64            // one more with each change
	snap atomic.Pointer[snapshot] // nil after a change, until somebody asks

	build sync.Mutex // held while a snapshot is made; before every other lock

	events    *nl.NetlinkSocket // links, addresses, routes, rules
	neighbors *nl.NetlinkSocket
	loops     sync.WaitGroup

	mu       sync.Mutex // guards what follows
	watchers map[chan struct{}]struct{}
	waiters  map[key]map[chan struct{}]struct{}
}

// The groups of notifications. Neighbours have a socket of their own: they
// change all the time, and what overruns there must not forget the routes.
var (
	routeGroups = []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_NEXTHOP}
	neighborGroups = []uint{unix.RTNLGRP_NEIGH}
)

// eventBuffer is asked of the kernel for each socket of notifications: 1 MiB
// holds about 1,000 of them, as each takes a page fragment of its own. Without
// CAP_NET_ADMIN it is cut to net.core.rmem_max.
const eventBuffer = 1 << 20

// askTimeout bounds one request. The kernel answers at once; a dump of many
// thousand routes takes some hundred milliseconds.
const askTimeout = 10 * time.Second

// Open begins to follow the network namespace of the calling thread. Close
// ends it. Log takes what is worth a person's attention; nil is nobody.
func Open(log *slog.Logger) (*Table, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &Table{log: log, watchers: map[chan struct{}]struct{}{},
		waiters: map[key]map[chan struct{}]struct{}{}}
	if err := t.open(); err != nil {
		t.shut()
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	t.loops.Go(func() { t.follow(t.events, t.changed) })
	t.loops.Go(func() { t.follow(t.neighbors, t.neighborChanged) })
	return t, nil
}

func (t *Table) open() (err error) {
	if t.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	if err = t.handle.SetSocketTimeout(askTimeout); err != nil {
		return err
	}
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	limit := unix.NsecToTimeval(int64(askTimeout))
	_ = s.SetReceiveTimeout(&limit) // only stores it
	t.raw = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
	if t.events, err = subscribe(routeGroups); err != nil {
		return err
	}
	t.neighbors, err = subscribe(neighborGroups)
	return err
}

func subscribe(groups []uint) (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, err
	}
	// The first needs CAP_NET_ADMIN, the second only gives less. An overrun is
	// noticed whatever the size.
	if s.SetReceiveBufferSize(eventBuffer, true) != nil {
		_ = s.SetReceiveBufferSize(eventBuffer, false)
	}
	return s, nil
}

// Close ends the following. Requests after it fail with net.ErrClosed, and who
// waits is woken. It may be called again.
func (t *Table) Close() error {
	t.shut()
	t.loops.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range t.waiters {
		for c := range list {
			wake(c)
		}
	}
	return nil
}

func (t *Table) shut() {
	t.asking.Lock()
	defer t.asking.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	t.gen.Add(1) // no snapshot that is being made is kept
	t.snap.Store(nil)
	if t.handle != nil {
		t.handle.Close()
	}
	for _, s := range t.raw {
		s.Close()
	}
	for _, s := range []*nl.NetlinkSocket{t.events, t.neighbors} {
		if s != nil {
			s.Close()
		}
	}
}

// ask runs one request, if the table is open.
func (t *Table) ask(request func() error) error {
	t.asking.RLock()
	defer t.asking.RUnlock()
	if t.closed {
		return net.ErrClosed
	}
	return request()
}

// Hop says how a packet to dst leaves. via, if not empty, is the interface that
// it must leave by; a zone of dst counts as one. The error is one of this
// package's, net.ErrClosed, or netlink's.
//
// The answer is that of a kernel socket without options which connects to dst;
// with via, of one that is bound to the interface (SO_BINDTODEVICE).
func (t *Table) Hop(dst netip.Addr, via string) (Hop, error) {
	if dst.Is4In6() {
		dst = dst.Unmap()
	}
	if zone := dst.Zone(); zone != "" {
		via, dst = zone, dst.WithZone("")
	}
	if s := t.snap.Load(); s != nil {
		if a := s.known(dst, via); a != nil && !a.each {
			return a.to(dst)
		}
	}
	return t.find(dst, via)
}

// broadcast is every host of the link, whatever the routes say.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// find is Hop where no answer is at hand.
func (t *Table) find(dst netip.Addr, via string) (Hop, error) {
	if !dst.IsValid() || dst.IsUnspecified() || dst.IsMulticast() || dst == broadcast {
		return Hop{}, ErrNotUnicast
	}
	s, err := t.snapshot()
	if err != nil {
		return Hop{}, err
	}
	v := s.view(via)
	if v == nil {
		return Hop{}, ErrNoInterface
	}
	a, err := t.query(s, dst, v)
	if err != nil {
		return Hop{}, fmt.Errorf("route to %s: %w", dst, err)
	}
	v.slot(s, dst).Store(a)
	return a.to(dst)
}

// dumpTries is how often a dump that a change interrupted is begun anew.
const dumpTries = 4

// snapshot gives the snapshot of now, and makes it if there is none.
func (t *Table) snapshot() (*snapshot, error) {
	if s := t.snap.Load(); s != nil {
		return s, nil
	}
	t.build.Lock()
	defer t.build.Unlock()
	if s := t.snap.Load(); s != nil {
		return s, nil // made by another one meanwhile
	}
	var s *snapshot
	gen := t.gen.Load()
	err := t.ask(func() (err error) {
		for range dumpTries {
			if s, err = dump(t.handle); !errors.Is(err, netlink.ErrDumpInterrupted) {
				break
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gen.Load() == gen {
		t.snap.Store(s)
	}
	return s, nil // perhaps outdated already, and then used this once
}

// Interfaces gives the interfaces of this machine, in the order of their index.
func (t *Table) Interfaces() ([]Interface, error) {
	s, err := t.snapshot()
	if err != nil {
		return nil, err
	}
	out := make([]Interface, 0, len(s.links))
	for _, l := range s.order {
		out = append(out, s.links[l])
	}
	return out, nil
}

// Addresses gives this machine's addresses.
func (t *Table) Addresses() ([]Address, error) {
	s, err := t.snapshot()
	if err != nil {
		return nil, err
	}
	return append([]Address(nil), s.addrs...), nil
}

// Generation is another number after each change of links, addresses, routes
// or rules.
func (t *Table) Generation() uint64 { return t.gen.Load() }

// Watch gives a channel that holds a value after each change of links,
// addresses, routes or rules; changes that nobody takes become one. stop ends
// it; the channel is never closed.
func (t *Table) Watch() (changes <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers[c] = struct{}{}
	return c, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, c)
	}
}

// wake puts the one value into a channel, unless it is there.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
