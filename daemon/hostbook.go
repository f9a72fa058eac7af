package main

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sonde/capture"
	"sonde/config"
)

const (
	// bookKeep is how long a host is kept that nothing is seen of any more: what
	// is switched on daily is kept.
	bookKeep = 24 * time.Hour
	// bookAmong is how many entries are looked at for one that makes room.
	bookAmong = 16
)

// A hostBook is the hosts that are known of the networks of a watch which cannot
// be walked: some hundred bytes for each, most at most. Those that answered us, or
// have a service that is known, are proven, and never make room for one that was
// only seen, as that is easily forged, nor for another that is proven. Any number of goroutines may use it.
type hostBook struct {
	within config.AddrSet
	most   int
	now    func() time.Time
	ready  func() // ends the wait for the first search; may be called again
	first  <-chan struct{}

	mu     sync.Mutex // guards what follows
	hosts  map[netip.Addr]booked
	failed bool   // the last search was not whole
	left   uint64 // hosts for which there was no room
}

type booked struct {
	seen   time.Time
	proven bool
}

func newHostBook(within config.AddrSet, most int, now func() time.Time) *hostBook {
	first := make(chan struct{})
	return &hostBook{within: within, most: most, now: now, hosts: map[netip.Addr]booked{},
		first: first, ready: sync.OnceFunc(func() { close(first) })}
}

// add notes a sign of a host. It says whether the host is in the book now; what
// is not within the networks never is.
func (b *hostBook) add(a netip.Addr, proven bool) bool {
	if !b.within.Contains(a) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	was, known := b.hosts[a]
	if !known && len(b.hosts) >= b.most && !b.evict() {
		b.left++
		return false
	}
	b.hosts[a] = booked{b.now(), proven || was.proven}
	return true
}

// evict makes room for a host, and says whether it could: of some that are not
// proven the one goes that was seen the longest ago.
func (b *hostBook) evict() bool {
	var oldest netip.Addr
	looked := 0
	old := b.now().Add(-bookKeep)
	for a, x := range b.hosts {
		if x.seen.Before(old) { // of no more use
			delete(b.hosts, a)
			return true
		}
		if x.proven {
			continue
		}
		if looked == 0 || x.seen.Before(b.hosts[oldest].seen) {
			oldest = a
		}
		if looked++; looked == bookAmong {
			break
		}
	}
	if looked == 0 {
		return false
	}
	delete(b.hosts, oldest)
	return true
}

// list gives the hosts, in order.
func (b *hostBook) list() (out []netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.now().Add(-bookKeep)
	for a, x := range b.hosts {
		if x.seen.Before(old) {
			delete(b.hosts, a)
			continue
		}
		out = append(out, a)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// searched notes how a search ended. It gives how many hosts there was no room
// for since the last one.
func (b *hostBook) searched(err error) (left uint64) {
	b.mu.Lock()
	b.failed, left, b.left = err != nil, b.left, 0
	b.mu.Unlock()
	b.ready()
	return left
}

func (b *hostBook) lastFailed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// A bookDiscoverer sweeps what can be walked, and the hosts of the book. Its
// first sweep waits for the first search, as it would find nothing otherwise.
type bookDiscoverer struct {
	discoverer
	book *hostBook
}

// Sweep implements discoverer. The place in the order that a plan begins From,
// and its Checkpoint, are of what is walked.
func (d bookDiscoverer) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	if p.Checkpoint == nil { // a few hosts, which are named
		return d.discoverer.Sweep(ctx, p, yield)
	}
	select {
	case <-d.book.first:
	case <-ctx.Done():
		return capture.Stats{}, ctx.Err()
	}
	var sum capture.Stats
	if p.Addrs.Len() > 0 {
		var err error
		if sum, err = d.discoverer.Sweep(ctx, p, yield); err != nil {
			return sum, err
		}
	}
	asked := map[netip.Addr]bool{}
	p.From, p.Checkpoint = 0, nil
	for {
		// Hosts that are found meanwhile belong to this sweep too.
		list := slices.DeleteFunc(d.book.list(), func(a netip.Addr) bool { return asked[a] })
		if len(list) == 0 {
			sum.Degraded = sum.Degraded || d.book.lastFailed()
			return sum, nil
		}
		for _, a := range list {
			asked[a] = true
		}
		p.Addrs, p.Seed = setOfHosts(list), p.Seed+1
		stats, err := d.discoverer.Sweep(ctx, p, yield)
		sum = addStats(stats, sum)
		if err != nil {
			return sum, err
		}
	}
}

// setOfHosts gives a few addresses as a set.
func setOfHosts(list []netip.Addr) config.AddrSet {
	ranges := make([]config.Range, len(list))
	for i, a := range list {
		ranges[i] = config.Range{First: a, Last: a}
	}
	return config.NewAddrSet(ranges...)
}
