package capture

import (
	"math"
	"net/netip"
	"testing"
)

type fixed []netip.Addr

func (f fixed) Len() uint64            { return uint64(len(f)) }
func (f fixed) At(i uint64) netip.Addr { return f[i] }

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
		if x >= n || y >= n || (a == b) != (x == y) {
			t.Fatalf("n %d, seed %d: at(%d) = %d, at(%d) = %d", n, seed, a, x, b, y)
		}
	})
}

// Two seeds give two orders, and hosts alternate: of 16 hosts each gets its
// share of any long run of targets.
func TestInterleave(t *testing.T) {
	var addrs fixed
	for i := range 16 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}))
	}
	ports := make([]uint16, 1000)
	for i := range ports {
		ports[i] = uint16(i + 1)
	}
	seqs := [2][]Target{}
	for k := range seqs {
		seq, err := Interleave(addrs, TCP, ports, uint64(k))
		if err != nil {
			t.Fatal(err)
		}
		for x := range seq {
			seqs[k] = append(seqs[k], x)
		}
	}
	seen := map[Target]bool{}
	share := map[netip.Addr]int{}
	same := 0
	for i, x := range seqs[0] {
		seen[x] = true
		if i < 1600 {
			share[x.Addr.Addr()]++
		}
		if x == seqs[1][i] {
			same++
		}
	}
	if len(seqs[0]) != 16000 || len(seen) != 16000 {
		t.Errorf("%d targets, %d different, want 16000", len(seqs[0]), len(seen))
	}
	for a, n := range share {
		if n < 50 || n > 200 { // 100 expected
			t.Errorf("%s gets %d of the first 1600 targets", a, n)
		}
	}
	if len(share) != 16 || same > 100 {
		t.Errorf("%d hosts in the first 1600; two seeds agree in %d of 16000 places", len(share), same)
	}
}

type vast struct{}

func (vast) Len() uint64          { return math.MaxUint64 }
func (vast) At(uint64) netip.Addr { return netip.Addr{} }

func TestInterleaveLimits(t *testing.T) {
	if _, err := Interleave(vast{}, TCP, []uint16{1, 2}, 0); err == nil {
		t.Error("no error for 2^65 pairs")
	}
	seq, err := Interleave(fixed{}, TCP, []uint16{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for x := range seq {
		t.Errorf("target %v out of nothing", x)
	}
}
