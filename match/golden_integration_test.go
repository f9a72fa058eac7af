//go:build integration

package match

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"sonde/match/internal/pcretest"
	"sonde/match/syntax"
)

// TestGoldenAgainstPCRE2 asks PCRE2 about answers made from our own patterns,
// and writes what it says for TestGolden if UPDATE_GOLDEN is set.
func TestGoldenAgainstPCRE2(t *testing.T) {
	lines, list := readGoldenRules(t)
	c := firstLines{t: t, o: pcretest.Start(t), numbers: make(map[*List][]int32)}
	c.maker.Rand = rand.New(rand.NewPCG(51, 52))
	set := NewSet(list)
	var out []byte
	for _, l := range lines {
		re, err := syntax.Parse(l.Pattern, syntax.Flags{IgnoreCase: l.IgnoreCase, DotAll: l.DotAll})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			answer := c.maker.Make(re)
			if i%2 == 1 {
				answer = c.maker.Spoil(answer)
			}
			want := c.compare(set, answer, l.Pattern)
			g := goldenCase{Answer: answer, Identity: want.Identity}
			if want.Rule != nil {
				g.Line = want.Rule.Pos.Line
			}
			text, err := json.Marshal(g)
			if err != nil {
				t.Fatal(err)
			}
			out = append(append(out, text...), '\n')
		}
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(goldenResults, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
