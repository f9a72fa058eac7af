package ports

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOfRangesMerges(t *testing.T) {
	tests := []struct {
		in   []Range
		want string
	}{
		{nil, ""},
		{[]Range{{5, 4}}, ""},
		{[]Range{{80, 80}, {22, 22}}, "22,80"},
		{[]Range{{1, 3}, {4, 6}}, "1-6"},
		{[]Range{{1, 10}, {2, 3}, {9, 12}}, "1-12"},
		{[]Range{{65535, 65535}, {0, 0}, {65534, 65534}}, "0,65534-65535"},
		{[]Range{{0, 65535}, {1, 1}}, "0-65535"},
	}
	for _, tt := range tests {
		if got := OfRanges(tt.in...).String(); got != tt.want {
			t.Errorf("OfRanges(%v) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// randomSet gives a set and the same ports as an array of flags.
func randomSet(r *rand.Rand) (Set, *[maxPort + 1]bool) {
	flags := new([maxPort + 1]bool)
	var list []Range
	for range r.IntN(12) {
		first := r.IntN(maxPort + 1)
		last := min(first+r.IntN(3000), maxPort)
		list = append(list, Range{uint16(first), uint16(last)})
		for p := first; p <= last; p++ {
			flags[p] = true
		}
	}
	return OfRanges(list...), flags
}

func TestSetOperationsAgainstFlags(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		a, fa := randomSet(r)
		b, fb := randomSet(r)
		ops := []struct {
			name string
			got  Set
			want func(x, y bool) bool
		}{
			{"union", a.Union(b), func(x, y bool) bool { return x || y }},
			{"minus", a.Minus(b), func(x, y bool) bool { return x && !y }},
			{"intersect", a.Intersect(b), func(x, y bool) bool { return x && y }},
		}
		for _, op := range ops {
			n := 0
			for p := range maxPort + 1 {
				want := op.want(fa[p], fb[p])
				if want {
					n++
				}
				if op.got.Contains(uint16(p)) != want {
					t.Fatalf("%s of %v and %v: port %d is %v", op.name, a, b, p, !want)
				}
			}
			if op.got.Len() != n || len(slices.Collect(op.got.All())) != n {
				t.Fatalf("%s of %v and %v: length %d, want %d", op.name, a, b, op.got.Len(), n)
			}
			if back, err := ParseNumbers(op.got.String()); n > 0 && (err != nil || !back.Equal(op.got)) {
				t.Fatalf("%v reads back as %v, %v", op.got, back, err)
			}
		}
	}
}

func TestAllStopsAtTheLastPort(t *testing.T) {
	if diff := cmp.Diff([]uint16{65534, 65535}, slices.Collect(OfRanges(Range{65534, 65535}).All())); diff != "" {
		t.Error(diff)
	}
}

func TestListString(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"22", "22"},
		{"T:22", "T:22"},
		{"U:53,T:53", "53"},
		{"1-100,T:200", "1-100,T:200"},
		{"T:1-100,U:50", "T:1-100,U:50"},
	} {
		l, err := Parse(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.String(); got != tt.want {
			t.Errorf("%q prints as %q, want %q", tt.in, got, tt.want)
		}
	}
}
