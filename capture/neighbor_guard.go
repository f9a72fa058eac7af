package capture

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Guard keeps the kernel's neighbour table from being filled by discovery:
// it holds some hundred entries for the whole machine, and one whose table is
// full reaches nobody new. Of the neighbours that are tried, no more than half
// of gc_thresh2 are unresolved at a time, no more than half of what is free are
// begun at once, and an eighth of the table stays free of ours.
//
// One Guard serves all that connects from this machine; only together do they
// keep the promise. It is safe for use by any number of goroutines.
type Guard struct {
	near Neighbors
	*rooms
}

// rooms are what all guards of a machine share.
type rooms struct {
	mu     sync.Mutex // guards what follows
	tables [2]room    // IPv4, IPv6
	slots  map[Neighbor]*slot
	dead   map[Neighbor]time.Time // until when nobody is there
}

// A room is how many may be let in to one table.
type room struct {
	held    int // slots
	limit   int // of held
	left    int // that may still be let in until the table is read again
	read    time.Time
	pressed time.Time       // when one was last let in to a full table
	waiting []chan struct{} // in the order of their coming; each holds one value
}

// A slot is a neighbour that may be unresolved.
type slot struct {
	users int
	until time.Time // without users: when the kernel has given it up
}

const (
	// roomAge is how long a reading of the table holds. In it, half of the
	// room may be taken by us, and the other half is for others.
	roomAge = 100 * time.Millisecond

	// headroom is the part of the table, an eighth, that is left to others.
	headroom = 8

	// fullPause is how often one is let in although the table looks full:
	// entries that are not subject to collection do not count against its
	// limit, but cannot be told apart; and the kernel collects when asked.
	fullPause = time.Second

	// resolveMax is how long the kernel takes to give up, by its defaults:
	// three requests (mcast_solicit), one second apart (retrans_time_ms), and
	// one for the scheduler.
	resolveMax = 4 * time.Second

	// awaitMax is how long a resolution is waited for; machines may be set to
	// ask more often than by default.
	awaitMax = 15 * time.Second

	// deadFor is how long nobody's absence is remembered, so that the ports of
	// an address do not each wait for it. A router gets a shorter time.
	deadFor       = 20 * time.Second
	deadGateway   = 3 * time.Second
	maxDead       = 1 << 16 // 65,536 addresses, 6 MiB; more are asked again
	limitFallback = 64      // where the table cannot be read: half of gc_thresh1
)

// NewGuard makes the guard of this machine.
func NewGuard(near Neighbors) *Guard {
	return &Guard{near, &rooms{slots: map[Neighbor]*slot{}, dead: map[Neighbor]time.Time{}}}
}

// By gives the same guard for who sends by other ways: near says which. Both let
// in as many together as one alone would.
func (g *Guard) By(near Neighbors) *Guard { return &Guard{near, g.rooms} }

// A Passage is the leave to send to one address, until Leave.
type Passage struct {
	guard *Guard
	hop   Neighbor // what packets are handed to; zero Addr if nobody
	addr  netip.Addr
	slot  *slot // until Leave
	held  bool  // the neighbour was not resolved when asked, so it has a slot
	dead  bool
	asked bool // the kernel's state was read after the try
}

// Enter waits until something may be sent to addr. The error is the end of ctx.
func (g *Guard) Enter(ctx context.Context, addr netip.Addr) (*Passage, error) {
	p := &Passage{guard: g, addr: addr}
	hop, ok := g.near.NextHop(addr)
	if !ok {
		return p, ctx.Err()
	}
	p.hop = hop
	if p.dead = g.isDead(hop); p.dead {
		return p, ctx.Err()
	}
	if state, err := g.near.Resolution(hop); err == nil && state == Resolved {
		return p, ctx.Err()
	}
	for {
		s, wait := g.take(hop)
		if s != nil {
			p.slot, p.held = s, true
			return p, nil
		}
		timer := time.NewTimer(roomAge)
		select {
		case <-wait:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			g.stopWaiting(hop, wait)
			return nil, context.Cause(ctx)
		}
		timer.Stop()
		g.stopWaiting(hop, wait)
	}
}

// take gives a slot, or what is woken when there may be one.
func (g *Guard) take(n Neighbor) (*slot, chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.slots[n]; s != nil {
		s.users++
		return s, nil
	}
	r := &g.tables[version(n)]
	if now := time.Now(); now.Sub(r.read) >= roomAge {
		g.refresh(n, r, now)
	}
	if r.held >= r.limit || r.left <= 0 {
		wait := make(chan struct{}, 1)
		r.waiting = append(r.waiting, wait)
		return nil, wait
	}
	r.held++
	r.left--
	s := &slot{users: 1}
	g.slots[n] = s
	return s, nil
}

// refresh forgets slots that the kernel has given up, and reads the table.
func (g *Guard) refresh(n Neighbor, r *room, now time.Time) {
	for m, s := range g.slots {
		if s.users == 0 && now.After(s.until) {
			g.drop(m)
		}
	}
	r.read = now
	table, err := g.near.Table(n.Addr.Is6())
	if err != nil {
		r.limit, r.left = limitFallback, limitFallback/2
		return
	}
	r.limit = max(1, table.Collect/2)
	r.left = max(0, (table.Max-table.Max/headroom-table.Entries)/2)
	spare := r.held == 0 || table.Entries+r.held < table.Max
	if r.left == 0 && spare && now.Sub(r.pressed) >= fullPause {
		r.left, r.pressed = 1, now
	}
}

func (g *Guard) drop(n Neighbor) {
	delete(g.slots, n)
	r := &g.tables[version(n)]
	r.held--
	if len(r.waiting) > 0 {
		r.waiting[0] <- struct{}{} // never blocks: it holds one and is taken off
		r.waiting = r.waiting[1:]
	}
}

// stopWaiting takes a waiter off. That it was woken besides is no loss: all look
// again when the table is read anew.
func (g *Guard) stopWaiting(n Neighbor, wait chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &g.tables[version(n)]
	if i := slices.Index(r.waiting, wait); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
	}
}

func (g *Guard) isDead(n Neighbor) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.dead[n]
	if ok && !time.Now().Before(until) {
		delete(g.dead, n)
		ok = false
	}
	return ok
}

// bury remembers that nobody is there.
func (g *Guard) bury(n Neighbor, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if len(g.dead) >= maxDead {
		for m, until := range g.dead {
			if now.After(until) {
				delete(g.dead, m)
			}
		}
	}
	if len(g.dead) < maxDead {
		g.dead[n] = now.Add(d)
	}
}

// Dead says that the neighbour was found absent a moment ago: nothing needs to
// be sent.
func (p *Passage) Dead() bool { return p.dead }

// Held says that the neighbour was not resolved, so that the passage takes room
// until Leave.
func (p *Passage) Held() bool { return p.slot != nil }

// Settle waits until it is known whether what was sent could have left, and
// says so: Resolved, Unresolvable, or Unknown where the entry is gone or was
// never made. It is to be called when no answer came. The error is the end of
// ctx, or that the kernel could not be asked.
func (p *Passage) Settle(ctx context.Context) (Resolution, error) {
	switch {
	case !p.hop.Addr.IsValid():
		return Resolved, nil
	case p.dead:
		return Unresolvable, nil
	}
	limited, cancel := context.WithTimeout(ctx, awaitMax)
	defer cancel()
	state, err := p.guard.near.Await(limited, p.hop)
	switch {
	case ctx.Err() != nil:
		return Unknown, context.Cause(ctx)
	case err != nil && limited.Err() != nil:
		return Resolving, nil
	case err != nil:
		return Unknown, fmt.Errorf("ask for neighbour %s: %w", p.hop.Addr, err)
	}
	p.asked = true
	if state == Unresolvable {
		p.guard.bury(p.hop, p.memory())
	}
	return state, nil
}

func (p *Passage) memory() time.Duration {
	if p.onLink() {
		return deadFor
	}
	return deadGateway
}

// Leave ends the passage. If an answer came, or Settle said what became of the
// neighbour, the next may enter; else when the kernel has given it up.
func (p *Passage) Leave(answered bool) {
	if p.slot == nil {
		return
	}
	g := p.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	s := p.slot
	p.slot = nil
	if !answered && !p.asked {
		s.until = time.Now().Add(resolveMax)
	}
	if s.users--; s.users == 0 && !time.Now().Before(s.until) {
		g.drop(p.hop)
	}
}

func version(n Neighbor) int {
	if n.Addr.Is6() {
		return 1
	}
	return 0
}
