package sweep

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func TestChunkSeeks(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(300)
		c := newChunk(1000, n)
		done := map[int]bool{}
		for range r.IntN(2 * n) {
			i := r.IntN(n)
			if c.finish(i) == done[i] {
				t.Fatalf("seed %d: finish(%d) forgets", seed, i)
			}
			done[i] = true
		}
		at := 0
		for i := range n {
			if done[i] {
				continue
			}
			if got := c.seek(at); got != i {
				t.Fatalf("seed %d: seek(%d) = %d, want %d of %d", seed, at, got, i, n)
			}
			at = i + 1
		}
		if got := c.seek(at); got != n {
			t.Fatalf("seed %d: seek(%d) = %d at the end, want %d", seed, at, got, n)
		}
		if got := int(c.left.Load()); got != n-len(done) {
			t.Fatalf("seed %d: %d left, want %d", seed, got, n-len(done))
		}
	}
}

func TestChunkSize(t *testing.T) {
	for _, tt := range []struct {
		p    Pacer
		want uint64
	}{{unlimited{}, chunkMost}, {NewRate(1), chunkLeast}, {NewRate(1000), 2048}, {NewRate(1e6), chunkMost}} {
		if got := chunkSize(tt.p); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.p, got, tt.want)
		}
	}
}

// Parked targets come in the order of their hosts' turns, each host's in the
// order of parking.
func TestPark(t *testing.T) {
	began := time.Unix(1000, 0)
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		var p park
		c := newChunk(0, 1000)
		for i := range 1000 {
			a := netip.AddrFrom4([4]byte{198, 18, 0, byte(r.IntN(20))})
			p.put(a, target{c, i}, began.Add(time.Duration(r.IntN(1000))))
		}
		last := map[netip.Addr]int{}
		at := began
		for n := 1000; n > 0; n-- {
			h := p.first()
			if h.ready.Before(at) {
				t.Fatalf("seed %d: a host that was ready at %s comes after one of %s", seed, h.ready, at)
			}
			at = h.ready
			a := h.addr
			x := p.pop(at.Add(time.Duration(r.IntN(1000))))
			if before, ok := last[a]; ok && before >= x.i {
				t.Fatalf("seed %d: target %d of %s after %d", seed, x.i, a, before)
			}
			last[a] = x.i
		}
		if p.first() != nil || p.n != 0 || c.parked != 0 || len(p.hosts) != 0 {
			t.Fatalf("seed %d: %d targets, %d hosts left over", seed, p.n, len(p.hosts))
		}
	}
}
