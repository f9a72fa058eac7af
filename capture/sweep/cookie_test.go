package sweep

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// The vectors are those of the reference implementation: the key 00 01 … 0f,
// and messages 00 01 02 … of whole words.
func TestSipHash(t *testing.T) {
	var key [16]byte
	var msg [16]byte
	for i := range key {
		key[i], msg[i] = byte(i), byte(i)
	}
	s := newSecret(key)
	w0, w1 := binary.LittleEndian.Uint64(msg[:8]), binary.LittleEndian.Uint64(msg[8:])
	for _, tt := range []struct {
		words []uint64
		want  uint64
	}{
		{nil, 0x726fdb47dd0e0e31},
		{[]uint64{w0}, 0x93f5f5799a932462},
		{[]uint64{w0, w1}, 0x3f2acc7f57c29bdb},
	} {
		if got := s.sum(tt.words); got != tt.want {
			t.Errorf("%d words: %#x, want %#x", len(tt.words), got, tt.want)
		}
	}
	if got := s.sum1(w0); got != 0x93f5f5799a932462 {
		t.Errorf("one word at once: %#x", got)
	}
}

// Each part of a target changes its cookie, and source ports are chosen evenly.
func TestCookie(t *testing.T) {
	s := newSecret([16]byte{1})
	v4, v6 := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("2001:db8::1")
	seen := map[cookie]bool{}
	for _, c := range []cookie{
		s.cookie(v4, 80, 6), s.cookie(v4, 81, 6), s.cookie(v4, 80, 17), s.cookie(v4.Next(), 80, 6),
		s.cookie(v6, 80, 6), s.cookie(v6, 81, 6), s.cookie(v6, 80, 17), s.cookie(v6.Next(), 80, 6),
	} {
		if seen[c] {
			t.Errorf("cookie %#x twice", c)
		}
		seen[c] = true
	}
	var share [7]int
	a := v4
	for range 7000 {
		share[s.cookie(a, 80, 6).place(len(share))]++
		a = a.Next()
	}
	for i, n := range share {
		if n < 800 || n > 1200 {
			t.Errorf("source port %d is chosen %d times of 7000", i, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.cookie(v4, 80, 6); s.cookie(v6, 80, 6) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
