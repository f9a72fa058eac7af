package onlink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"sonde/capture/frame"
	"sonde/capture/route"
)

// A key names a neighbour.
type key struct {
	link int
	addr netip.Addr
}

// A neighbor is what is known of one. Its fields are guarded by neighbors.mu.
type neighbor struct {
	mac      [6]byte       // zero while unknown
	verified time.Time     // when it last answered; zero: never
	failed   time.Time     // when an asking ended in vain
	asking   chan struct{} // closed when the asking under way has ended; else nil
}

const (
	// routerAge is how long a router's address holds. Then it is asked for
	// again, beside its use, so that a router that was replaced takes packets
	// in vain for that long at most, and the tries of one asking.
	routerAge = 5 * time.Second

	// hostAge is the same for others: a sweep of a link knows thousands, and
	// one that was replaced costs its own answers only.
	hostAge = time.Minute

	// deadAge is how long one that did not answer is not asked again: those who
	// have a packet for it would each wait for the same silence.
	deadAge = 5 * time.Second

	// maxNeighbors bounds what is remembered: a link's worth of 65,536, about
	// 8 MiB. Beyond, what was found longest ago is asked for again.
	maxNeighbors = 1 << 16
)

// neighbors remembers whom packets are handed to.
type neighbors struct {
	mu    sync.RWMutex // guards what follows; after Finder.mu
	byKey map[key]*neighbor
}

// Lookup gives the link-layer address of the next hop, without asking anybody,
// so it can be called for each packet. It is false if Resolve has to be called
// before; the address is zero where the interface needs none. What is old is
// asked for again beside it.
func (f *Finder) Lookup(h route.Hop) (mac [6]byte, ok bool) {
	if h.Local || !h.Link.Resolves() {
		return mac, true
	}
	k := key{h.Link.Index, h.Next}
	f.known.mu.RLock()
	n := f.known.byKey[k]
	if n != nil && n.mac != mac {
		mac, ok = n.mac, true
	}
	fresh := ok && (n.asking != nil || time.Since(n.verified) < age(h))
	f.known.mu.RUnlock()
	if ok && !fresh {
		_, _ = f.begin(h, k) // fails when closed: then the old one has to do
	}
	return mac, ok
}

func age(h route.Hop) time.Duration {
	if h.OnLink {
		return hostAge
	}
	return routerAge
}

// Resolve gives the link-layer address of the next hop: what is known, else
// what the kernel has of it, else what it answers to us. It fails with
// ErrUnresolved when it does not, with ErrMedium for interfaces that have
// addresses of another kind, and when ctx ends.
func (f *Finder) Resolve(ctx context.Context, h route.Hop) (mac [6]byte, err error) {
	if h.Link.Medium == route.Other {
		return mac, fmt.Errorf("resolve %s on %s: %w", h.Next, h.Link.Name, ErrMedium)
	}
	if mac, ok := f.Lookup(h); ok {
		return mac, nil
	}
	k := key{h.Link.Index, h.Next}
	if f.known.isDead(k) {
		return mac, fmt.Errorf("resolve %s on %s: %w", h.Next, h.Link.Name, ErrUnresolved)
	}
	if mac, ok := f.fromKernel(h, k); ok {
		return mac, nil
	}
	done, err := f.begin(h, k)
	if err != nil {
		return mac, err
	}
	select {
	case <-done:
	case <-ctx.Done():
		return mac, context.Cause(ctx)
	}
	f.known.mu.RLock()
	defer f.known.mu.RUnlock()
	if n := f.known.byKey[k]; n != nil && n.mac != mac {
		return n.mac, nil
	}
	return mac, fmt.Errorf("resolve %s on %s: %w", h.Next, h.Link.Name, ErrUnresolved)
}

// fromKernel begins with what the kernel has: it is right, or will be found out
// by the asking that its age asks for.
func (f *Finder) fromKernel(h route.Hop, k key) (mac [6]byte, ok bool) {
	got, err := f.cfg.Routes.Neighbor(k.link, k.addr)
	if err != nil || !got.State.HasMAC() || !isStation(got.MAC) {
		return mac, false
	}
	n := &neighbor{mac: got.MAC}
	if got.State == route.Reachable || got.State == route.Permanent {
		n.verified = time.Now()
	}
	f.known.mu.Lock()
	defer f.known.mu.Unlock()
	if old := f.known.byKey[k]; old == nil || old.asking == nil {
		f.known.add(k, n)
	}
	return got.MAC, true
}

// begin asks for a neighbour, unless that is under way. done is closed when the
// asking has ended.
func (f *Finder) begin(h route.Hop, k key) (done <-chan struct{}, err error) {
	f.mu.Lock() // before known.mu
	defer f.mu.Unlock()
	f.known.mu.Lock()
	defer f.known.mu.Unlock()
	if f.closed {
		return nil, net.ErrClosed
	}
	n := f.known.byKey[k]
	if n == nil {
		n = &neighbor{}
		f.known.add(k, n)
	}
	if n.asking == nil {
		n.asking = make(chan struct{})
		f.running.Go(func() { f.asking(h, k, n) })
	}
	return n.asking, nil
}

// asking asks for one neighbour until it answers, as often as Tries says.
func (f *Finder) asking(h route.Hop, k key, n *neighbor) {
	began := time.Now()
	heard := make(chan struct{}, 1)
	stop := f.observe(k.link, func(s *station, p *frame.Packet, _ time.Time) {
		if a, _, ok := answerOf(s, p); ok && a == k.addr {
			select {
			case heard <- struct{}{}:
			default:
			}
		}
	})
	for range f.cfg.Tries {
		if f.isClosed() || f.askOnce(h, k, heard) {
			break
		}
	}
	stop()
	f.known.mu.Lock()
	defer f.known.mu.Unlock()
	close(n.asking)
	n.asking = nil
	if n.verified.Before(began) && !f.isClosed() {
		n.mac, n.failed = [6]byte{}, time.Now()
	}
}

// askOnce sends one request and waits for the answer to it.
func (f *Finder) askOnce(h route.Hop, k key, heard <-chan struct{}) bool {
	if s, err := f.station(h.Link); err == nil {
		if err = s.ask(h.Src, k.addr, [6]byte{}); err != nil {
			f.cfg.Log.Debug("neighbour not asked", "addr", k.addr, "err", err)
		}
	}
	timer := time.NewTimer(f.cfg.Retry)
	defer timer.Stop()
	select {
	case <-heard:
		return true
	case <-timer.C:
		return false
	case <-f.stop:
		return false
	}
}

func (f *Finder) isClosed() bool {
	select {
	case <-f.stop:
		return true
	default:
		return false
	}
}

// isDead says that the neighbour did not answer a moment ago.
func (n *neighbors) isDead(k key) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	v := n.byKey[k]
	return v != nil && v.asking == nil && v.mac == [6]byte{} && time.Since(v.failed) < deadAge
}

// heard learns from a packet: an answer to us is remembered, and any ARP packet
// or unasked advertisement changes the address of one that is known already
// (RFC 826; RFC 4861 section 7.2.5), as happens when a router fails over.
func (n *neighbors) heard(s *station, p *frame.Packet, at time.Time) {
	a, mac, ok := answerOf(s, p)
	answered := ok
	switch {
	case ok:
	case p.ARP.Op != 0 && p.ARP.SenderMAC == p.SrcMAC:
		a, mac = p.ARP.Sender, p.ARP.SenderMAC
	case p.ND.Valid && p.ND.HasLink && p.Type == frame.ICMPv6NeighborAdvertisement:
		a, mac = p.ND.Target, p.ND.LinkAddr
	}
	if !a.IsValid() || !isStation(mac) || mac == s.link.MAC {
		return
	}
	k := key{s.link.Index, a}
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.byKey[k]
	switch {
	case known != nil:
		known.mac = mac
		if answered {
			known.verified = at
		}
	case answered:
		n.add(k, &neighbor{mac: mac, verified: at})
	}
}

// add remembers a neighbour, with mu held. Of a full memory some go that are not
// being asked for: which ones is the map's choice.
func (n *neighbors) add(k key, v *neighbor) {
	if _, there := n.byKey[k]; !there && len(n.byKey) >= maxNeighbors {
		for old, o := range n.byKey {
			if o.asking == nil {
				delete(n.byKey, old)
				break
			}
		}
	}
	n.byKey[k] = v
}
