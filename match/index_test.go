package match

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sonde/match/engine"
)

// pieces are what random patterns and random answers are made of, so that the
// ones often occur in the others. Those of eight bytes and more become keys.
var pieces = []string{
	"HTTP/1.1 200 OK\r\n", "Server: nginx", "Server: Apache/2", "\r\n", "220 mail ready", "ESMTP Postfix",
	"SSH-2.0-OpenSSH_9", "<title>Router", "</title>", "abcdefgh", "abcdefghi", "bcdefghij", "\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	"a", "b", "1", " ", "--------", "Login: ", "aaaaaaaaaaaa",
}

// joints stand between the pieces of a pattern, breaks between those of an
// answer.
var (
	joints = []string{"", "", ".*", ".*?", `[^\r\n]*`, `(\w*)`, "a?", `(?:x|yy)?`, "(?>a*)", `(?!b)`, `\s*`, `(?:[^\r\n]*\r\n)*?`, ".{2}"}
	breaks = []string{"", "", "", " ", "x", "yy", "\r\n", "some more text", "\x00"}
)

func quoteMeta(s string) string {
	return strings.NewReplacer(".", `\.`, "\r", `\r`, "\n", `\n`, "\x00", `\0`, "|", `\|`).Replace(s)
}

func randomPattern(rng *rand.Rand) string {
	var b strings.Builder
	for i := range 1 + rng.IntN(2) {
		if i > 0 {
			b.WriteByte('|')
		}
		if rng.IntN(3) > 0 {
			b.WriteByte('^')
		}
		for range 1 + rng.IntN(3) {
			b.WriteString(joints[rng.IntN(len(joints))])
			b.WriteString(quoteMeta(pieces[rng.IntN(len(pieces))]))
		}
		if rng.IntN(6) == 0 {
			b.WriteByte('$')
		}
	}
	return b.String()
}

func randomAnswer(rng *rand.Rand, most int) []byte {
	var b strings.Builder
	for n := rng.IntN(8); n >= 0 && b.Len() < most; n-- {
		piece := pieces[rng.IntN(len(pieces))]
		if rng.IntN(5) == 0 {
			piece = strings.ToUpper(piece)
		}
		b.WriteString(piece)
		b.WriteString(breaks[rng.IntN(len(breaks))])
	}
	return []byte(b.String())
}

// randomSet gives a Set of one or two lists of random rules.
func randomSet(tb testing.TB, rng *rand.Rand) *Set {
	tb.Helper()
	lists := make([]*List, 1+rng.IntN(2))
	for i := range lists {
		rules := make([]Rule, 1+rng.IntN(30)) // few floating lines need no filter, many do
		for j := range rules {
			rules[j] = Rule{
				Pos: Position{File: "random", Line: j + 1}, Service: "s", Pattern: randomPattern(rng),
				IgnoreCase: rng.IntN(4) == 0, DotAll: rng.IntN(2) == 0, Fields: Fields{Version: "$1", Info: "i $P(1)"},
			}
		}
		var err error
		if lists[i], err = CompileList(rules); err != nil {
			tb.Fatal(err)
		}
	}
	return NewSet(lists...)
}

// tryAll finds the first rule by asking the engine about each one.
func tryAll(set *Set, m *engine.Machine, answer []byte) (rule *Rule, undecided bool) {
	for _, l := range set.lists {
		for i, p := range l.programs {
			switch v, _ := m.Search(p, answer); v {
			case engine.Match:
				return &l.rules[i], undecided
			case engine.Undecided:
				undecided = true
			}
		}
	}
	return nil, undecided
}

// compareWithAll checks Match and MatchAll against tryAll.
func compareWithAll(t *testing.T, set *Set, sc *Scratch, m *engine.Machine, answer []byte) (hit bool) {
	want, undecided := tryAll(set, m, answer)
	if undecided {
		return false
	}
	if got := set.Match(sc, answer); got.Rule != want || got.Undecided != nil {
		t.Fatalf("Match(%q) = %+v, the first that matches is %+v", answer, got, want)
	}
	trace := set.MatchAll(sc, answer, 100)
	if (want == nil) != (len(trace.Hits) == 0) || want != nil && trace.Hits[0].Rule != want {
		t.Fatalf("MatchAll(%q) = %+v, the first that matches is %+v", answer, trace, want)
	}
	return want != nil
}

// TestSameAsTryingEveryLine is the guarantee of the index.
func TestSameAsTryingEveryLine(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	var sc Scratch
	var m engine.Machine
	hits := 0
	for range 1500 {
		set := randomSet(t, rng)
		for range 10 {
			if compareWithAll(t, set, &sc, &m, randomAnswer(rng, 300)) {
				hits++
			}
		}
	}
	if hits < 3000 {
		t.Errorf("only %d hits", hits)
	}
}

// amongOthers compiles the pattern between rules that wait for literals, which
// are many enough that the index must look for its literal too.
func amongOthers(t *testing.T, pattern string) *List {
	rules := []Rule{{Service: "fuzz", Pattern: pattern}}
	for i := range 8 {
		rules = append(rules, Rule{Service: "other", Pattern: fmt.Sprintf("other literal %d", i)})
	}
	list, err := CompileList(rules)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// FuzzIndex compares the index with trying every line: random rules from a
// seed beside one pattern and one answer of the fuzzer's.
func FuzzIndex(f *testing.F) {
	for i, p := range mixedPatterns {
		f.Add(uint64(i), p, []byte("HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\nabcdefghij"+p))
	}
	var sc Scratch
	var m engine.Machine
	f.Fuzz(func(t *testing.T, seed uint64, pattern string, answer []byte) {
		rng := rand.New(rand.NewPCG(seed, 5))
		set := randomSet(t, rng)
		if own, err := CompileList([]Rule{{Service: "fuzz", Pattern: pattern}}); err == nil {
			set.lists = append(set.lists, own, amongOthers(t, pattern))
		}
		answer = answer[:min(len(answer), 1024)]
		compareWithAll(t, set, &sc, &m, answer)
		compareWithAll(t, set, &sc, &m, append(randomAnswer(rng, 200), answer...))
	})
}
