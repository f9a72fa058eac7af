//go:build integration

package match

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/match/internal/pcretest"
	"sonde/match/internal/sample"
	"sonde/match/internal/shared"
	"sonde/match/syntax"
)

// perLine is how many answers TestFirstLineAndFields makes from each line, and
// spoils: 2 × 6 × 12,171 of them make, with those of the corpus, more than the
// 200,000 comparisons that a release wants.
func perLine() int {
	if n, err := strconv.Atoi(os.Getenv("PER_LINE")); err == nil && n > 0 {
		return n
	}
	return 6
}

// corpusMutations is how many spoiled copies each recorded answer has.
const corpusMutations = 10

// TestFirstLineAndFields compares, with PCRE2 line by line in the order of the
// peer's file, which line is the first that matches an answer, and all fields:
// recorded answers, answers made from every line, and spoiled ones of both.
func TestFirstLineAndFields(t *testing.T) {
	db := loadPeer(t)
	c := firstLines{t: t, o: pcretest.Start(t), db: db, numbers: make(map[*List][]int32)}
	c.maker.Rand = rand.New(rand.NewPCG(11, 12))
	for _, a := range shared.Answers(t) {
		set := db.set(a.Transport, a.Probe)
		if set == nil {
			continue
		}
		data := a.Data[:min(len(a.Data), MaxAnswer)]
		c.compare(set, data, a.ID)
		for range corpusMutations {
			if len(data) <= 4096 {
				c.compare(set, c.maker.Spoil(data), a.ID)
			}
		}
	}
	t.Logf("corpus: %d comparisons, %d hits", c.compared, c.hits)
	for _, p := range db.probes {
		set := db.set(p.Transport, p.Name)
		for _, l := range p.Lines {
			c.line(set, l)
		}
	}
	t.Logf("%d comparisons of first line and fields, %d hits, %d differences", c.compared, c.hits, c.differences)
	if c.compared < 200_000 {
		t.Errorf("only %d comparisons", c.compared)
	}
}

// firstLines compares answers one by one.
type firstLines struct {
	t       *testing.T
	o       *pcretest.Oracle
	db      *peerDatabase
	numbers map[*List][]int32
	maker   sample.Maker
	sc      Scratch
	expect  Scratch

	compared, hits, differences int
}

// line compares answers made from one line.
func (c *firstLines) line(set *Set, l shared.Line) {
	re, err := syntax.Parse(l.Pattern, syntax.Flags{IgnoreCase: l.IgnoreCase, DotAll: l.DotAll})
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range perLine() {
		c.maker.Fill = 0
		if i == 1 {
			c.maker.Fill = 60
		}
		b := c.maker.Make(re)
		c.compare(set, b, "line "+strconv.Itoa(l.Number))
		c.compare(set, c.maker.Spoil(b), "spoiled line "+strconv.Itoa(l.Number))
	}
}

// compare gives what PCRE2 says, too.
func (c *firstLines) compare(set *Set, answer []byte, what string) (want Result) {
	c.compared++
	c.o.Subject(answer)
	for _, l := range set.lists {
		at, groups := c.o.First(c.oracle(l))
		if at >= 0 {
			c.hits++
			want.Rule = &l.rules[at]
			c.expect.machine.SetGroups(groups, l.programs[at].Groups())
			want.Identity = l.fields[at].expand(&c.expect, answer, want.Rule.Service)
			break
		}
	}
	got := set.Match(&c.sc, answer)
	if got.Rule != want.Rule || got.Undecided != nil || !cmp.Equal(got.Identity, want.Identity) {
		c.differences++
		c.t.Errorf("%s, answer %.200q:\n got %v (%d undecided) %+v\nwant %v %+v", what, answer,
			got.Rule, len(got.Undecided), got.Identity, want.Rule, want.Identity)
	}
	return want
}

// oracle gives PCRE2's numbers of the lines of a list.
func (c *firstLines) oracle(l *List) []int32 {
	if n, ok := c.numbers[l]; ok {
		return n
	}
	numbers := make([]int32, 0, l.Len())
	for _, r := range l.rules {
		p := c.o.Compile(r.Pattern, r.IgnoreCase, r.DotAll)
		if p.Error != 0 {
			c.t.Fatalf("PCRE2 refuses %v: %+v", r.Pos, p)
		}
		numbers = append(numbers, int32(p.Number))
	}
	c.numbers[l] = slices.Clip(numbers)
	return numbers
}
