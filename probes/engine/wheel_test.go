package engine

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// A probe notes when its timer ran.
type probe struct {
	timer
	id  int
	run func(*probe)
}

func (p *probe) expired() { p.run(p) }

// TestWheelAgainstModel compares the wheel with a sorted list over random
// sets, stops and steps of time of all sizes.
func TestWheelAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var w wheel
		var got []int
		probes := make([]*probe, 40)
		for i := range probes {
			probes[i] = &probe{id: i, run: func(p *probe) { got = append(got, p.id) }}
			probes[i].prepare(&w, probes[i])
		}
		type entry struct {
			at  time.Duration
			seq int
			id  int
		}
		model := map[int]entry{}
		var now time.Duration
		for step := range 300 {
			for range rnd.IntN(4) {
				id := rnd.IntN(len(probes))
				if rnd.IntN(4) == 0 {
					probes[id].stop()
					delete(model, id)
					continue
				}
				at := now + randomSpan(rnd) - time.Duration(rnd.IntN(3))*time.Millisecond
				probes[id].set(at)
				model[id] = entry{at, step<<16 + int(w.seq), id}
			}
			now += randomSpan(rnd)
			got = got[:0]
			w.advance(now)
			var due []entry
			for _, e := range model {
				if ceilTick(e.at) <= int64(now/wheelTick) {
					due = append(due, e)
					delete(model, e.id)
				}
			}
			slices.SortFunc(due, func(a, b entry) int {
				return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
			})
			var want []int
			for _, e := range due {
				want = append(want, e.id)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d step %d: ran %v, want %v", seed, step, got, want)
			}
			checkNext(t, &w, now, len(model) == 0)
		}
	}
}

func ceilTick(d time.Duration) int64 { return int64((d + wheelTick - 1) / wheelTick) }

// randomSpan is anything from nothing to a month.
func randomSpan(rnd *rand.Rand) time.Duration {
	return time.Duration(rnd.Int64N(1 << rnd.IntN(52)))
}

func checkNext(t *testing.T, w *wheel, now time.Duration, empty bool) {
	t.Helper()
	next := w.next()
	if empty != (next == never) {
		t.Fatalf("next at %v, empty: %v", next, empty)
	}
	if next < now-wheelTick {
		t.Fatalf("next at %v is before now, %v", next, now)
	}
}

func TestWheelStopsWhatIsDueInThisTurn(t *testing.T) {
	var w wheel
	var got []int
	var second, third probe
	first := probe{id: 1}
	note := func(p *probe) { got = append(got, p.id) }
	second, third = probe{id: 2, run: note}, probe{id: 3, run: note}
	first.run = func(p *probe) {
		note(p)
		second.stop()
		third.set(30 * time.Millisecond)
		first.set(0) // overdue, yet not in this turn
	}
	for _, p := range []*probe{&first, &second, &third} {
		p.prepare(&w, p)
		p.set(10 * time.Millisecond)
	}
	w.advance(20 * time.Millisecond)
	if diff := gocmp.Diff([]int{1}, got); diff != "" {
		t.Error("first turn", diff)
	}
	first.run = note
	w.advance(30 * time.Millisecond)
	if diff := gocmp.Diff([]int{1, 1, 3}, got); diff != "" {
		t.Error("second turn", diff)
	}
}

func TestWheelFarTimes(t *testing.T) {
	var w wheel
	ran := false
	p := probe{run: func(*probe) { ran = true }}
	p.prepare(&w, &p)
	p.set(math.MaxInt64)
	w.advance(100 * 365 * 24 * time.Hour)
	if ran {
		t.Error("a timer at the end of time ran")
	}
	p.set(40 * 24 * time.Hour)
	p.stop()
	if w.next() != never {
		t.Error("a stopped timer is waited for")
	}
}

func TestWheelAllocatesNothing(t *testing.T) {
	var w wheel
	probes := make([]probe, 1000)
	var now time.Duration
	round := func() {
		for i := range probes {
			p := &probes[i]
			if p.w == nil {
				p.run = func(*probe) {}
				p.prepare(&w, p)
			}
			p.set(now + time.Duration(i)*time.Millisecond)
		}
		now += time.Second
		w.advance(now)
	}
	round()
	if n := testing.AllocsPerRun(10, round); n > 0 {
		t.Errorf("%v allocations per 1,000 timers", n)
	}
}

func BenchmarkWheel(b *testing.B) {
	var w wheel
	probes := make([]probe, 10000)
	for i := range probes {
		probes[i].run = func(*probe) {}
		probes[i].prepare(&w, &probes[i])
	}
	var now time.Duration
	for i := 0; b.Loop(); i++ {
		probes[i%len(probes)].set(now + 5*time.Second)
		now += 10 * time.Microsecond
		w.advance(now)
	}
}
