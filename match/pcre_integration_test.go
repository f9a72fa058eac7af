//go:build integration

package match

import (
	"slices"
	"testing"

	"sonde/match/engine"
	"sonde/match/internal/pcretest"
	"sonde/match/internal/shared"
)

// TestPeerAgainstPCRE2 searches each recorded answer in all lines that are
// asked about it, one by one and without gates, and compares match and groups
// with PCRE2's; then it compares the first line with the one that Match finds.
func TestPeerAgainstPCRE2(t *testing.T) {
	db := loadPeer(t)
	answers := shared.Answers(t)
	o := pcretest.Start(t)
	numbers := make(map[*List][]int32)
	for _, p := range db.probes {
		for _, l := range p.Lines {
			oracle := o.Compile(l.Pattern, l.IgnoreCase, l.DotAll)
			if oracle.Error != 0 || oracle.MatchesEmpty {
				t.Fatalf("PCRE2 refuses line %d: %+v", l.Number, oracle)
			}
			numbers[db.lists[p]] = append(numbers[db.lists[p]], int32(oracle.Number))
		}
	}
	c := comparison{t: t, o: o, numbers: numbers}
	searched := 0
	for _, a := range answers {
		if set := db.set(a.Transport, a.Probe); set != nil {
			searched++
			c.answer(set, a)
		}
	}
	t.Logf("%d answers, %d (line, answer) pairs compared, %d hits, %d answers with a first line",
		searched, c.pairs, c.hits, c.firsts)
}

type comparison struct {
	t       *testing.T
	o       *pcretest.Oracle
	numbers map[*List][]int32
	sc      Scratch

	pairs, hits, firsts int
}

func (c *comparison) answer(set *Set, a shared.Answer) {
	c.o.Subject(a.Data)
	c.sc.begin(set)
	var first *Rule
	for n, l := range set.lists {
		state := &c.sc.searches[n].state
		state.Fixed(l.index, a.Data)
		if len(a.Data) > 0 {
			state.Float(l.index, a.Data, l.Len())
		}
		for i, want := range c.o.All(c.numbers[l]) {
			c.pairs++
			got := c.search(l.programs[i], a.Data)
			if !slices.Equal(got, want) {
				c.t.Errorf("%s on %v: groups %v, PCRE2 %v", a.ID, l.rules[i].Pos, got, want)
			}
			if want == nil {
				continue
			}
			c.hits++
			if first == nil {
				first = &l.rules[i]
			}
			contains, _ := l.index.Contains(i, a.Data)
			if !contains || !l.index.Fits(i, a.Data) || state.Next(i) != i {
				c.t.Errorf("%s on %v: the index stops a match", a.ID, l.rules[i].Pos)
			}
		}
	}
	if first != nil {
		c.firsts++
	}
	if res := set.Match(&c.sc, a.Data); res.Rule != first || res.Undecided != nil {
		c.t.Errorf("%s: Match finds %v (%d undecided), first is %v", a.ID, res.Rule, len(res.Undecided), first)
	}
}

// search gives the groups as PCRE2 counts them: nil for a miss, and without
// those behind the last that is set.
func (c *comparison) search(p *engine.Program, b []byte) pcretest.Groups {
	m := &c.sc.machine
	verdict, _ := m.Search(p, b)
	if verdict == engine.Undecided {
		return pcretest.GaveUp
	}
	if verdict == engine.NoMatch {
		return nil
	}
	var groups pcretest.Groups
	set := 0
	for i := range m.Groups() {
		lo, hi, ok := m.Bounds(i)
		if !ok {
			lo, hi = -1, -1
		} else {
			set = i
		}
		groups = append(groups, int32(lo), int32(hi))
	}
	return groups[:2*set+2]
}
