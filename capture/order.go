package capture

import (
	"math/bits"
	"net/netip"
)

// Addrs is a set of addresses that are numbered from 0.
type Addrs interface {
	Len() uint64
	At(i uint64) netip.Addr                    // i < Len()
	Index(a netip.Addr) (i uint64, there bool) // the inverse of At
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

// place is the inverse of at: the i for which at(i) is x, x < n.
func (p permutation) place(x uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		left, right := x>>p.half, x&mask
		for r := len(p.keys) - 1; r >= 0; r-- {
			left, right = right^mix(left^p.keys[r])&mask, left
		}
		x = left<<p.half | right
		if x < p.n {
			return x
		}
	}
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
