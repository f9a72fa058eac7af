package capture

import (
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
)

// A Plan says what a sweep asks: each port of each address once, in a
// pseudo-random order that Seed chooses, so that no host gets its packets in
// one burst and no list of the pairs is held in memory.
//
// Target number i of the order is the same for the same Addrs, Ports and Seed,
// so that a sweep that was cut short can go on where it stopped.
type Plan struct {
	Network string // TCP or UDP
	Addrs   Addrs
	Ports   []uint16
	Seed    uint64

	// From is the number of the first target that is asked; those before it
	// were asked by a sweep that was cut short. 0 asks all.
	From uint64

	// Skip, if set, is asked right before each address is sent a packet, and
	// keeps it from being sent where it is true. While it waits, the sweep is
	// paused, and goes on where it was. It may be called from any goroutine.
	Skip func(netip.Addr) bool

	// Checkpoint, if set, is called between replies by a sweeper that can tell
	// how far it is: every target below the number has been asked, and was told
	// or stayed silent, so that a plan that goes on From there misses nothing.
	// It is not called any more once the sweep is degraded.
	Checkpoint func(position uint64)
}

// maxPairs bounds the targets of a plan, so that no arithmetic on them
// overflows.
const maxPairs = 1 << 62

// Len is how many targets the plan has in all, From and Skip left aside. It
// fails for more than 2^62.
func (p *Plan) Len() (uint64, error) {
	over, n := bits.Mul64(p.Addrs.Len(), uint64(len(p.Ports)))
	if over != 0 || n > maxPairs {
		return 0, fmt.Errorf("order %d addresses and %d ports: more than 2^62 pairs",
			p.Addrs.Len(), len(p.Ports))
	}
	return n, nil
}

// An Order gives the targets of a plan by their number. It is immutable.
type Order struct {
	perm   permutation
	addrs  Addrs
	ports  []uint16
	places map[uint16]int // in ports
}

// Order makes the order of the plan. It fails as Len does.
func (p *Plan) Order() (Order, error) {
	n, err := p.Len()
	if err != nil {
		return Order{}, err
	}
	places := make(map[uint16]int, len(p.Ports))
	for i, port := range p.Ports {
		places[port] = i
	}
	return Order{newPermutation(n, p.Seed), p.Addrs, p.Ports, places}, nil
}

// At gives target number i, below the plan's Len, and its rank: its place
// among all pairs by address and port, which Rank finds again.
func (o *Order) At(i uint64) (addr netip.Addr, port uint16, rank uint64) {
	rank = o.perm.at(i)
	k := uint64(len(o.ports))
	return o.addrs.At(rank / k), o.ports[rank%k], rank
}

// Targets yields what the plan asks, in its order. It yields nothing for a plan
// that Len refuses.
func (p *Plan) Targets() iter.Seq[Target] {
	return func(yield func(Target) bool) {
		for _, t := range p.numbered() {
			if !yield(t) {
				return
			}
		}
	}
}

// numbered yields them with their numbers.
func (p *Plan) numbered() iter.Seq2[uint64, Target] {
	return func(yield func(uint64, Target) bool) {
		n, err := p.Len()
		if err != nil {
			return
		}
		order, _ := p.Order()
		for i := p.From; i < n; i++ {
			a, port, _ := order.At(i)
			if p.Skip != nil && p.Skip(a) {
				continue
			}
			if !yield(i, Target{netip.AddrPortFrom(a, port), p.Network}) {
				return
			}
		}
	}
}

// Rank is the inverse of At's last result: the rank of a pair that came back in
// an answer. It is false for what is not in the plan.
func (o *Order) Rank(a netip.Addr, port uint16) (rank uint64, there bool) {
	i, ok := o.addrs.Index(a)
	if !ok {
		return 0, false
	}
	j, ok := o.places[port]
	return i*uint64(len(o.ports)) + uint64(j), ok
}

// Place is the number of the target with that rank, which At finds again. The
// rank must come from At or Rank.
func (o *Order) Place(rank uint64) uint64 { return o.perm.place(rank) }
