package inventory

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkApply applies batches of visits to endpoints that are known and
// have not changed, as nearly all visits find them.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			c := newClock()
			s := openStore(b, b.TempDir(), c)
			const known = 4096
			visits := make([]Visit, known)
			for i := range visits {
				visits[i] = visitOf(fmt.Sprintf("10.0.%d.%d", i/256, i%256), 22, c.now(), "OpenSSH", "9.2")
			}
			mustApply(b, s, visits...)
			ctx := context.Background()
			done := 0
			for b.Loop() {
				at := c.add(time.Second)
				batch := make([]Visit, size)
				for i := range batch {
					batch[i] = visits[done%known]
					batch[i].At = at
					done++
				}
				if _, err := s.Apply(ctx, batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "visits/s")
		})
	}
}

// BenchmarkDecide decides about a known endpoint that has not changed.
func BenchmarkDecide(b *testing.B) {
	v := visitOf("192.0.2.1", 22, day1, "OpenSSH", "9.2")
	known, _ := Decide(nil, v, DefaultRules())
	b.ReportAllocs()
	for b.Loop() {
		v.At = v.At.Add(time.Minute)
		known, _ = Decide(&known, v, DefaultRules())
	}
}
