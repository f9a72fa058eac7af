package onlink

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// What one sweep may ask. A bit and no more is held for each address.
const (
	maxSweep4 = 1 << 22 // 4,194,304 addresses, a /10; half a MiB
	maxSweep6 = 1 << 16 // 65,536: a list of addresses, never a prefix of a link
)

// Sweep asks the addresses of the plan by ARP and neighbour discovery, in the
// plan's order and by the interface via (any, if empty), and tells each that
// answers once. The plan's ports do not matter. Addresses that are not on a
// link, or are our own, are skipped, as are those that the plan's Skip names.
//
// yield is called while receiving: it must not take long, nor call the Finder but
// for Lookup. Calls do not overlap.
// Sweep fails for more than 4,194,304 addresses, or more than 65,536 with IPv6
// among them, when an interface stays lost, and when ctx ends.
func (f *Finder) Sweep(ctx context.Context, via string, p capture.Plan, yield func(Host)) (Stats, error) {
	w, err := f.newSweep(via, p, yield)
	if err != nil {
		return Stats{}, fmt.Errorf("sweep link: %w", err)
	}
	ask := func(ctx context.Context, a netip.Addr) error {
		return f.transmit(ctx, &w.stats, a, via, func(s *station, h route.Hop) error {
			w.watch(f, h.Link)
			return s.ask(h.Src, a, [6]byte{})
		})
	}
	err = w.run(ctx, f, func(h route.Hop) bool { return h.OnLink && !h.Local && h.Link.Resolves() }, ask)
	if err != nil {
		return w.stats, fmt.Errorf("sweep link: %w", err)
	}
	return w.stats, nil
}

// A sweep is one run over the addresses of a plan.
type sweep struct {
	via    string
	addrs  capture.Addrs
	order  capture.Order
	skip   func(netip.Addr) bool
	accept func(s *station, p *frame.Packet) (Host, bool)

	// watched are the interfaces that answers are taken from, with what ends
	// it. Only the sending goroutine uses it.
	watched map[int]func()
	losses  uint64 // of these, when the try began
	stats   Stats  // but Alive, likewise

	complete chan struct{} // closed when left becomes 0

	mu    sync.Mutex // guards what follows, and is held during yield
	done  []uint64   // a bit for each address that needs no more asking
	left  uint64     // addresses without it
	alive uint64
	yield func(Host)
}

func (f *Finder) newSweep(via string, p capture.Plan, yield func(Host)) (*sweep, error) {
	n := p.Addrs.Len()
	if n > maxSweep4 || n > maxSweep6 && p.Addrs.At(n-1).Is6() {
		return nil, fmt.Errorf("%d addresses: %w", n, ErrTooMany)
	}
	p.Ports = []uint16{0}
	order, err := p.Order()
	if err != nil {
		return nil, err
	}
	w := &sweep{via: via, addrs: p.Addrs, order: order, skip: p.Skip, yield: yield,
		watched: map[int]func(){}, done: make([]uint64, (n+63)/64), left: n, complete: make(chan struct{})}
	if n == 0 {
		close(w.complete)
	}
	for i := range min(p.From, n) {
		_, _, rank := order.At(i)
		w.finish(rank)
	}
	w.accept = func(s *station, p *frame.Packet) (Host, bool) {
		a, mac, ok := answerOf(s, p)
		reason := "arp-response"
		if a.Is6() {
			reason = "nd-response"
		}
		return Host{Addr: a, MAC: mac, Reason: reason}, ok
	}
	return w, nil
}

// againMost is how many tries of a sweep are made anew because an interface was
// lost in them. One that comes and goes more often is no link.
const againMost = 5

// run asks each address that fits (all, if that is nil), as often as Tries says,
// until it answers. A try in which an interface was lost does not count: the
// answers to it may have been lost too.
func (w *sweep) run(ctx context.Context, f *Finder, fits func(route.Hop) bool,
	ask func(context.Context, netip.Addr) error) error {
	defer func() {
		for _, stop := range w.watched {
			stop()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stats.Alive = w.alive
	}()
	n := w.addrs.Len()
	again := 0
	for try := 0; try < f.cfg.Tries; {
		first := try+again == 0
		w.losses = f.lossesOf(w.watched)
		for i := range n {
			a, _, rank := w.order.At(i)
			if w.isDone(rank) {
				continue
			}
			if first && fits != nil && !w.wanted(f, a, fits) || w.skip != nil && w.skip(a) {
				w.stats.Skipped++
				w.finish(rank)
				continue
			}
			if first {
				w.stats.Targets++
			}
			if err := f.cfg.Wait(ctx, a); err != nil {
				return err
			}
			if err := ask(ctx, a); err != nil {
				return fmt.Errorf("ask %s: %w", a, err)
			}
		}
		if all, err := w.rest(ctx, f.cfg.Retry); all || err != nil {
			return err
		}
		switch {
		case f.lossesOf(w.watched) == w.losses:
			try++
		case again == againMost:
			return fmt.Errorf("lost in each of %d tries: %w", again+1, link.ErrDown)
		default:
			again++
		}
	}
	return nil
}

func (w *sweep) wanted(f *Finder, a netip.Addr, fits func(route.Hop) bool) bool {
	h, err := f.cfg.Routes.Hop(a, w.via)
	return err == nil && fits(h)
}

// watch takes the answers of an interface from now on.
func (w *sweep) watch(f *Finder, l route.Interface) {
	if w.watched[l.Index] != nil {
		return
	}
	w.losses += f.lossesOf(map[int]func(){l.Index: nil})
	w.watched[l.Index] = f.observe(l.Index, func(s *station, p *frame.Packet, at time.Time) {
		if h, ok := w.accept(s, p); ok {
			h.Link, h.At = l.Index, at
			w.tell(h, l.Name)
		}
	})
}

// tell tells of an address that was asked, once.
func (w *sweep) tell(h Host, link string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rank, ok := w.order.Rank(h.Addr, 0)
	if h.Addr.IsLinkLocalUnicast() && h.Addr.Is6() {
		zoned := h.Addr.WithZone(link)
		if r, there := w.order.Rank(zoned, 0); there {
			rank, ok, h.Addr = r, true, zoned
		}
	}
	if !ok || w.done[rank/64]&(1<<(rank%64)) != 0 || w.skip != nil && w.skip(h.Addr) {
		return
	}
	w.mark(rank)
	w.alive++
	w.yield(h)
}

func (w *sweep) isDone(rank uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done[rank/64]&(1<<(rank%64)) != 0
}

func (w *sweep) finish(rank uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done[rank/64]&(1<<(rank%64)) == 0 { // it may have answered just now
		w.mark(rank)
	}
}

// mark notes that an address needs no more asking; mu is held.
func (w *sweep) mark(rank uint64) {
	w.done[rank/64] |= 1 << (rank % 64)
	if w.left--; w.left == 0 {
		close(w.complete)
	}
}

// rest waits for answers, until all have come. It says whether they have.
func (w *sweep) rest(ctx context.Context, d time.Duration) (bool, error) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.complete:
		return true, nil
	case <-t.C:
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// seed gives an order that nobody can foretell.
func (f *Finder) seed() uint64 {
	return maphash.Comparable(f.key, time.Now().UnixNano())
}
