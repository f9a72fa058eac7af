//go:build bench

package match

import (
	"runtime"
	"time"
)

// segment is how many bytes arrive at a time in the measurement of growth.
const segment = 64

// segments compares what answers of some length cost when they arrive in
// segments with what they cost whole, both the least of some tries.
func (b *bench) segments(what string, answers []*benchAnswer) {
	runtime.LockOSThread() // cpuTime is this thread's
	defer runtime.UnlockOSThread()
	const tries, minLength = 5, 4096
	sc := NewScratch()
	var whole, pieces time.Duration
	worst, name, n := 0.0, "", 0
	for _, a := range answers {
		if len(a.data) < minLength {
			continue
		}
		var one, many []time.Duration
		for range tries {
			start := cpuTime()
			a.set.Match(sc, a.data)
			one = append(one, cpuTime()-start)
			start = cpuTime()
			g := a.set.Grow(sc)
			for end := segment; end < len(a.data); end += segment {
				g.Look(a.data[:end])
			}
			res := g.Settle(a.data)
			many = append(many, cpuTime()-start)
			if res.Rule != a.found && len(res.Undecided) == 0 {
				b.t.Errorf("%s: found %v in segments, %v whole", a.name, res.Rule, a.found)
			}
		}
		n++
		whole += least(one)
		pieces += least(many)
		if ratio := float64(least(many)) / float64(least(one)); ratio > worst {
			worst, name = ratio, a.name
		}
	}
	b.t.Logf("%d %s of at least %d bytes in segments of %d: %.2f times the whole, worst %.2f (%s)", n, what,
		minLength, segment, float64(pieces)/float64(whole), worst, name)
}
