package capture

import (
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
)

// Addrs is a set of addresses that can be picked from by number.
type Addrs interface {
	Len() uint64
	At(i uint64) netip.Addr // i < Len()
}

// Interleave yields each pair of an address and a port once, in a
// pseudo-random order that seed chooses, so that no host gets its packets in
// one burst and no list of the pairs is held in memory. It fails for more than
// 2^62 pairs.
func Interleave(addrs Addrs, network string, ports []uint16, seed uint64) (iter.Seq[Target], error) {
	over, n := bits.Mul64(addrs.Len(), uint64(len(ports)))
	if over != 0 || n > 1<<62 {
		return nil, fmt.Errorf("order %d addresses and %d ports: more than 2^62 pairs", addrs.Len(), len(ports))
	}
	perm := newPermutation(n, seed)
	return func(yield func(Target) bool) {
		for i := range n {
			j := perm.at(i)
			a := addrs.At(j / uint64(len(ports)))
			port := ports[j%uint64(len(ports))]
			if !yield(Target{netip.AddrPortFrom(a, port), network}) {
				return
			}
		}
	}, nil
}

// A permutation of 0 … n-1. A Feistel network of four rounds permutes the
// numbers of an even count of bits, at most 4n of them; results outside of n
// are put in again until one falls inside ("cycle walking"), which keeps it a
// permutation and takes four steps on average at worst. It spreads well, and
// is no secret: who knows enough of the order can foretell the rest.
type permutation struct {
	n    uint64
	half uint // bits of one side
	keys [4]uint64
}

func newPermutation(n, seed uint64) permutation {
	p := permutation{n: n, half: uint(bits.Len64(max(n, 2)-1)+1) / 2}
	for i := range p.keys {
		seed += 0x9e3779b97f4a7c15
		p.keys[i] = mix(seed)
	}
	return p
}

// at gives the i-th element, i < n.
func (p permutation) at(i uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		left, right := i>>p.half, i&mask
		for _, k := range p.keys {
			left, right = right, left^mix(right^k)&mask
		}
		i = left<<p.half | right
		if i < p.n {
			return i
		}
	}
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
