package match

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/match/internal/shared"
)

// goldenRules are patterns of our own that use everything that a probe file
// may; goldenResults is what PCRE2 makes of answers from their trees, written
// by TestGoldenAgainstPCRE2 when UPDATE_GOLDEN is set.
var (
	goldenRules   = filepath.Join("testdata", "golden.rules")
	goldenResults = filepath.Join("testdata", "golden.jsonl")
)

// A goldenCase is one line of goldenResults.
type goldenCase struct {
	Answer   []byte   `json:"answer"`
	Line     int      `json:"line"` // of goldenRules, 0 for a miss
	Identity Identity `json:"identity"`
}

// readGoldenRules reads the rules, which are match and softmatch lines.
func readGoldenRules(tb testing.TB) (lines []shared.Line, list *List) {
	tb.Helper()
	lines = shared.Lines(tb, goldenRules)
	list, err := CompileList(rulesOf(&shared.Probe{Lines: lines}))
	if err != nil {
		tb.Fatal(err)
	}
	return lines, list
}

// TestGolden compares with what PCRE2 said.
func TestGolden(t *testing.T) {
	_, list := readGoldenRules(t)
	f, err := os.Open(goldenResults)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	set, sc := NewSet(list), NewScratch()
	cases, won := 0, make(map[int]bool)
	for lines := bufio.NewScanner(f); lines.Scan(); cases++ {
		var c goldenCase
		if err := json.NewDecoder(strings.NewReader(lines.Text())).Decode(&c); err != nil {
			t.Fatal(err)
		}
		won[c.Line] = true
		res := set.Match(sc, c.Answer)
		got := goldenCase{Answer: c.Answer, Identity: res.Identity}
		if res.Rule != nil {
			got.Line = res.Rule.Pos.Line
		}
		if d := cmp.Diff(c, got); d != "" {
			t.Errorf("answer %q (-want +got):\n%s", c.Answer, d)
		}
	}
	if cases < 400 || len(won) < list.Len() {
		t.Errorf("only %d cases, in which %d of %d rules win", cases, len(won), list.Len())
	}
}
