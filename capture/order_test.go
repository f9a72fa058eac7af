package capture

import (
	"net/netip"
	"slices"
	"testing"
)

type fixed []netip.Addr

func (f fixed) Len() uint64            { return uint64(len(f)) }
func (f fixed) At(i uint64) netip.Addr { return f[i] }
func (f fixed) Index(a netip.Addr) (uint64, bool) {
	i := slices.Index(f, a)
	return uint64(max(i, 0)), i >= 0
}

func TestPermutationVisitsEachOnce(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 4, 5, 15, 16, 17, 255, 256, 257, 1000, 4096, 65537, 100003} {
		for seed := range uint64(5) {
			p := newPermutation(n, seed)
			seen := make([]bool, n)
			for i := range n {
				j := p.at(i)
				if j >= n || seen[j] {
					t.Fatalf("n %d, seed %d: at(%d) = %d is too large, or there for the second time", n, seed, i, j)
				}
				seen[j] = true
			}
		}
	}
}

func FuzzPermutation(f *testing.F) {
	f.Add(uint64(10), uint64(1), uint64(3), uint64(4))
	f.Add(uint64(1)<<62, uint64(0), uint64(0), uint64(1)<<61)
	f.Fuzz(func(t *testing.T, n, seed, a, b uint64) {
		n = n%(1<<62) + 1
		p := newPermutation(n, seed)
		a, b = a%n, b%n
		x, y := p.at(a), p.at(b)
		if x >= n || y >= n || p.place(x) != a || (a == b) != (x == y) {
			t.Fatalf("n %d, seed %d: at(%d) = %d, at(%d) = %d", n, seed, a, x, b, y)
		}
	})
}
