package capture

import (
	"math"
	"net/netip"
	"slices"
	"testing"
)

// Two seeds give two orders, and hosts alternate: of 16 hosts each gets its
// share of any long run of targets.
func TestPlan(t *testing.T) {
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
		p := Plan{Network: TCP, Addrs: addrs, Ports: ports, Seed: uint64(k)}
		for x := range p.Targets() {
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

func (vast) Len() uint64                     { return math.MaxUint64 }
func (vast) At(uint64) netip.Addr            { return netip.Addr{} }
func (vast) Index(netip.Addr) (uint64, bool) { return 0, false }

func TestPlanLimits(t *testing.T) {
	for _, p := range []Plan{{Addrs: vast{}, Ports: []uint16{1, 2}}, {Addrs: vast{}, Ports: []uint16{1}}} {
		if _, err := p.Len(); err == nil {
			t.Error("no error for 2^64 and more pairs")
		}
		if _, err := NewConnect(Config{}).Sweep(t.Context(), p, nil); err == nil {
			t.Error("no error of a sweep of 2^64 and more pairs")
		}
	}
	none := Plan{Addrs: fixed{}, Ports: []uint16{1}}
	for x := range none.Targets() {
		t.Errorf("target %v out of nothing", x)
	}
}

// A plan that begins later, and one that skips, ask exactly the rest.
func TestPlanFromAndSkip(t *testing.T) {
	addrs := fixed{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("::1")}
	whole := Plan{Network: UDP, Addrs: addrs, Ports: []uint16{1, 2, 3, 4, 5}, Seed: 3}
	all := slices.Collect(whole.Targets())
	late, picky := whole, whole
	late.From = 6
	if got := slices.Collect(late.Targets()); !slices.Equal(got, all[6:]) {
		t.Errorf("from 6: %v, want %v", got, all[6:])
	}
	picky.Skip = func(a netip.Addr) bool { return a == addrs[1] }
	want := slices.DeleteFunc(slices.Clone(all), func(x Target) bool { return x.Addr.Addr() == addrs[1] })
	if got := slices.Collect(picky.Targets()); !slices.Equal(got, want) {
		t.Errorf("skipping %v: %v, want %v", addrs[1], got, want)
	}
	order, err := whole.Order()
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(15) {
		a, port, rank := order.At(i)
		if back, ok := order.Rank(a, port); !ok || back != rank {
			t.Errorf("rank of %v port %d: %d, %v, want %d", a, port, back, ok, rank)
		}
		if place := order.Place(rank); place != i {
			t.Errorf("rank %d is in place %d, want %d", rank, place, i)
		}
	}
	if _, ok := order.Rank(addrs[0], 6); ok {
		t.Error("a port that is not in the plan has a rank")
	}
}
