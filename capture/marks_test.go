package capture

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// However targets end, no place is told behind one that has not ended, the
// places ascend and come no faster than markEvery, and memory is given back.
func TestMarks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var told []uint64
		now := time.Unix(0, 0)
		m := newMarks(&Plan{From: 7, Checkpoint: func(place uint64) { told = append(told, place) }}, now)
		type flying struct{ place, number uint64 }
		var air []flying
		place, last := uint64(7), now
		for range 500 {
			if now = now.Add(time.Duration(rng.IntN(600)) * time.Millisecond); len(air) < 20 && rng.IntN(2) == 0 {
				place += uint64(1 + rng.IntN(3)) // some are left out
				air = append(air, flying{place, m.begin(place)})
				continue
			}
			if len(air) == 0 {
				continue
			}
			i := rng.IntN(len(air))
			f := air[i]
			air = slices.Delete(air, i, i+1)
			n := len(told)
			m.end(f.number, now)
			if len(told) == n {
				continue
			}
			for _, open := range air {
				if told[n] > open.place {
					t.Fatalf("place %d is told, and %d has not ended", told[n], open.place)
				}
			}
			if n > 0 && told[n] <= told[n-1] || now.Sub(last) < markEvery {
				t.Fatalf("places %v, the last after %v", told, now.Sub(last))
			}
			last = now
		}
		if len(told) < 5 || len(m.open) > 500 {
			t.Errorf("%d places are told, %d targets are kept", len(told), len(m.open))
		}
	}
}
