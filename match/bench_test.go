//go:build bench

package match

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"sonde/match/internal/rivals"
	"sonde/match/internal/shared"
)

// rounds is how often each engine searches all answers. Of the times of one
// answer the least counts: what else runs on the machine only adds. PCRE2
// takes some seconds for each round, its JIT runs one.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 3
}

// TestBenchMatch measures, on the same answers and in one run, PCRE2 line by
// line, Hyperscan, and this package; its last line sums it up. It fails where
// results differ, not for a time.
func TestBenchMatch(t *testing.T) {
	b := newBench(t)
	if os.Getenv("ONLY") == "worst" {
		b.worst()
		return
	}
	ratios := b.corpus()
	worst := b.worst()
	load, heap, searched := measureLoad(t)
	t.Logf("heap after all recorded answers were searched, with the scratch: %.1f MiB", searched)
	t.Logf("compile: this package %.2f s, PCRE2 %.2f s, JIT %.2f s, Hyperscan %.1f s (%d KiB, %d lines left out)",
		load.Seconds(), b.rivals.CompilePCRE2.Seconds(), b.rivals.CompileJIT.Seconds(),
		b.rivals.CompileHyperscan.Seconds(), b.rivals.HyperscanKiB, b.rivals.Missing)
	fmt.Printf("match: mean_ratio=%.0f p50_ratio=%.0f p99_ratio=%.0f hyperscan_mean_ratio=%.2f "+
		"worst_ms=%.2f load_s=%.2f heap_mib=%.1f\n", ratios.mean, ratios.p50, ratios.p99,
		ratios.hyperscan, worst.Seconds()*1000, load.Seconds(), heap)
}

// measureLoad compiles the whole file once more and weighs it, before and after
// it has searched the recorded answers.
func measureLoad(t *testing.T) (took time.Duration, heap, searched float64) {
	answers := shared.Answers(t)
	db := &peerDatabase{probes: shared.Peer(t), sets: make(map[string]*Set)}
	rules := make([][]Rule, len(db.probes))
	for i, p := range db.probes {
		rules[i] = rulesOf(p)
	}
	lists := make([]*List, len(rules))
	before := heapInUse()
	start := time.Now()
	for i := range lists {
		lists[i], _ = CompileList(rules[i])
	}
	took = time.Since(start)
	heap = mib(heapInUse() - before)
	db.lists = make(map[*shared.Probe]*List)
	for i, p := range db.probes {
		db.lists[p] = lists[i]
	}
	sc := NewScratch()
	for _, a := range answers {
		if set := db.set(a.Transport, a.Probe); set != nil {
			set.Match(sc, a.Data)
		}
	}
	searched = mib(heapInUse() - before)
	runtime.KeepAlive(rules)
	runtime.KeepAlive(db)
	runtime.KeepAlive(sc)
	runtime.KeepAlive(answers)
	return took, heap, searched
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A benchAnswer is one answer with what each engine took for it.
type benchAnswer struct {
	set   *Set
	lists []*List
	kind  string
	data  []byte
	name  string
	times [4]time.Duration // by engine; own is the last
	hit   bool
	found *Rule

	undecided int // lines that reached a limit
}

const own = 3

var engineNames = [4]string{"PCRE2", "PCRE2 JIT", "Hyperscan", "this package"}

type bench struct {
	t       *testing.T
	db      *peerDatabase
	rivals  *rivals.Rivals
	numbers map[*List]int
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, db: loadPeer(t), rivals: rivals.Start(t), numbers: make(map[*List]int)}
}

// answer tells the rivals of an answer; their lists are compiled on the way.
func (b *bench) answer(a *benchAnswer) {
	var numbers []int
	for _, l := range a.lists {
		n, ok := b.numbers[l]
		if !ok {
			for _, p := range b.db.probes {
				if b.db.lists[p] == l {
					n = b.rivals.List(p.Lines)
				}
			}
			b.numbers[l] = n
		}
		numbers = append(numbers, n)
	}
	b.rivals.Answer(numbers, a.data[:min(len(a.data), MaxAnswer)])
}

// measure runs all engines over the answers.
func (b *bench) measure(answers []*benchAnswer, rounds [4]int) {
	b.rivals.Clear()
	for _, a := range answers {
		b.answer(a)
	}
	times := make([][4][]time.Duration, len(answers))
	sc := NewScratch()
	for e, n := range rounds {
		for round := range n {
			if e == own {
				b.own(sc, answers, times)
				continue
			}
			for i, s := range b.rivals.Run(rivals.Engine(e)) {
				times[i][e] = append(times[i][e], s.Time)
				if round == 0 && rivals.Engine(e) == rivals.PCRE2 {
					answers[i].expect(s)
				}
			}
		}
	}
	for i, a := range answers {
		for e := range a.times {
			a.times[e] = least(times[i][e])
		}
		res := a.set.Match(sc, a.data)
		a.undecided = len(res.Undecided)
		if res.Rule != a.found && a.undecided == 0 {
			b.t.Errorf("%s: found %v, PCRE2 %v", a.name, res.Rule, a.found)
		}
	}
}

func (a *benchAnswer) expect(s rivals.Search) {
	a.hit = s.Line >= 0
	if a.hit {
		a.found = &a.lists[s.List].rules[s.Line]
	}
}

func (b *bench) own(sc *Scratch, answers []*benchAnswer, times [][4][]time.Duration) {
	for i, a := range answers {
		start := time.Now()
		a.set.Match(sc, a.data)
		times[i][own] = append(times[i][own], time.Since(start))
	}
}

func least(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return slices.Min(d)
}

type ratios struct{ mean, p50, p99, hyperscan float64 }

// corpus measures the recorded answers and prints all kinds of them.
func (b *bench) corpus() ratios {
	var answers []*benchAnswer
	for _, a := range shared.Answers(b.t) {
		set := b.db.set(a.Transport, a.Probe)
		if set == nil {
			continue
		}
		kind := "other TCP"
		switch {
		case a.Transport == "udp":
			kind = "UDP"
		case a.Probe == "NULL", a.Probe == "GetRequest":
			kind = a.Probe
		}
		answers = append(answers, &benchAnswer{set: set, lists: set.lists, kind: kind, data: a.Data, name: a.ID})
	}
	n := rounds()
	b.measure(answers, [4]int{n, 1, n, n})
	b.t.Logf("%d recorded answers, µs: mean / median / p99", len(answers))
	b.segments("recorded answers", answers)
	all := b.row("all", answers, func(*benchAnswer) bool { return true })
	for _, kind := range []string{"NULL", "GetRequest", "other TCP", "UDP"} {
		for _, hit := range []bool{true, false} {
			name := kind + map[bool]string{true: " hit", false: " miss"}[hit]
			b.row(name, answers, func(a *benchAnswer) bool { return a.kind == kind && a.hit == hit })
		}
	}
	return all
}

// row prints one line of the table.
func (b *bench) row(name string, answers []*benchAnswer, which func(*benchAnswer) bool) ratios {
	var times [4][]time.Duration
	for _, a := range answers {
		if which(a) {
			for e, d := range a.times {
				times[e] = append(times[e], d)
			}
		}
	}
	if len(times[own]) == 0 {
		return ratios{}
	}
	var stats [4][3]float64
	line := fmt.Sprintf("%-16s %5d", name, len(times[own]))
	for e, d := range times {
		slices.Sort(d)
		sum := time.Duration(0)
		for _, one := range d {
			sum += one
		}
		stats[e] = [3]float64{us(sum) / float64(len(d)), us(d[len(d)/2]), us(d[len(d)*99/100])}
		line += fmt.Sprintf(" | %s %.1f / %.1f / %.1f", engineNames[e], stats[e][0], stats[e][1], stats[e][2])
	}
	r := ratios{stats[0][0] / stats[own][0], stats[0][1] / stats[own][1], stats[0][2] / stats[own][2],
		stats[2][0] / stats[own][0]}
	b.t.Logf("%s | ratio to PCRE2 %.0f / %.0f / %.0f, to JIT %.0f, to Hyperscan %.2f / %.2f / %.2f", line, r.mean, r.p50, r.p99,
		stats[1][0]/stats[own][0], r.hyperscan, stats[2][1]/stats[own][1], stats[2][2]/stats[own][2])
	return r
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
