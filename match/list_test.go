package match

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/match/engine"
)

func TestCompileListReportsEveryBadRule(t *testing.T) {
	rule := func(line int, pattern, version string) Rule {
		return Rule{Pos: Position{File: "f", Line: line}, PatternCol: 13, Service: "s",
			Pattern: pattern, Fields: Fields{Version: version}}
	}
	list, err := CompileList([]Rule{
		rule(1, `^good`, ""),
		rule(2, `ab(c`, ""),
		rule(3, `^a*`, ""),
		rule(4, `a(?R)`, ""),
		rule(5, `^fine`, "$1"),
		rule(6, `a`, "$Q(1)"),
		rule(7, `(?:(?:(?:ab){999}){999}){999}`, ""),
	})
	if list.Len() != 2 || list.Rule(0).Pos.Line != 1 || list.Rule(1).Pos.Line != 5 {
		t.Errorf("kept %d rules, want those of lines 1 and 5", list.Len())
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error %T, want one that is joined", err)
	}
	var got []string
	for _, e := range joined.Unwrap() {
		var re *RuleError
		if !errors.As(e, &re) {
			t.Fatalf("error %T, want a *RuleError", e)
		}
		got = append(got, re.Pos.String())
	}
	if d := cmp.Diff([]string{"f:2:15", "f:3:13", "f:4:14", "f:6", "f:7:13"}, got); d != "" {
		t.Errorf("positions (-want +got):\n%s", d)
	}
	for _, want := range []error{ErrMatchesEmpty, ErrUnsupported, ErrTemplate, ErrTooLarge} {
		if !errors.Is(err, want) {
			t.Errorf("the error does not hold %q", want)
		}
	}
}

// TestListIsOwn demands that later changes of the caller's rules do not count.
func TestListIsOwn(t *testing.T) {
	rules := []Rule{{Service: "a", Pattern: "x", Fields: Fields{CPE: []CPETemplate{{Text: "a:b"}}}}}
	list, err := CompileList(rules)
	if err != nil {
		t.Fatal(err)
	}
	rules[0].Service, rules[0].Fields.CPE[0].Text = "changed", "changed"
	if r := list.Rule(0); r.Service != "a" || r.Fields.CPE[0].Text != "a:b" {
		t.Errorf("the list's rule is now %+v", *r)
	}
}

// mixedPatterns have something for each kind of fact and key.
var mixedPatterns = []string{
	`^HTTP/1\.[01] \d\d\d`, `^abc`, `bc`, `(?i)^ab\d`, `(?i)bca`, `^a?bc`, `^(?:a|b)c`, `a{3}b`, `(?:ab){2}c+`,
	`(?=ab)a.c`, `^[ab]c(?!d)a`, `(?<=a)bcab`, `(ab)c\1`, `^a{12}b`, `a.*bcabca`, `^\0\xff`, `(?>a+)bca`, `c$`, `^a\b`,
}

// TestIndexStopsNothingThatMatches compares Match with trying every rule.
func TestIndexStopsNothingThatMatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var rules []Rule
	for i, p := range mixedPatterns {
		rules = append(rules, Rule{Pos: Position{Line: i}, Service: "s", Pattern: p})
	}
	hits := 0
	for range 3000 {
		rng.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		list, err := CompileList(rules[:1+rng.IntN(len(rules))])
		if err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, rng.IntN(16))
		for i := range answer {
			answer[i] = "aabbcABC1\x00\xff/"[rng.IntN(12)]
		}
		var sc Scratch
		var want *Rule
		for i, p := range list.programs {
			if v, _ := sc.machine.Search(p, answer); v == engine.Match {
				want = &list.rules[i]
				hits++
				break
			}
		}
		if got := NewSet(list).Match(&sc, answer).Rule; got != want {
			t.Fatalf("Match(%q) = %+v, first that matches is %+v", answer, got, want)
		}
	}
	if hits < 300 {
		t.Errorf("only %d hits", hits)
	}
}

// bomb is a pattern that no visited bits help: it has a back-reference.
const bomb = `^(a*)*\1b`

func TestUndecidedRulesAreToldAndPassed(t *testing.T) {
	list, err := CompileList([]Rule{
		{Pos: Position{File: "f", Line: 1}, Service: "bomb", Pattern: bomb},
		{Pos: Position{File: "f", Line: 2}, Service: "good", Pattern: `^a`},
		{Pos: Position{File: "f", Line: 3}, Service: "late", Pattern: `aa`},
	})
	if err != nil {
		t.Fatal(err)
	}
	answer := []byte(strings.Repeat("a", 2000) + "c")
	var sc Scratch
	// The gate must not stop the bomb: it wants a "b" at the end.
	res := NewSet(list).Match(&sc, append(answer, 'b'))
	if res.Rule == nil || res.Rule.Service != "good" || len(res.Undecided) != 1 ||
		res.Undecided[0].Service != "bomb" || res.Steps < engine.MaxSteps {
		t.Errorf("Match = %+v, want rule good with bomb undecided", res)
	}
	trace := NewSet(list).MatchAll(&sc, append(answer, 'b'), 10)
	if len(trace.Hits) != 2 || len(trace.Undecided) != 1 || trace.More || trace.Rules != 3 || trace.Candidates != 3 {
		t.Errorf("MatchAll = %+v, want two hits and one undecided", trace)
	}
	if trace := NewSet(list).MatchAll(&sc, append(answer, 'b'), 1); len(trace.Hits) != 1 || !trace.More {
		t.Errorf("MatchAll with limit 1 = %+v, want one hit and More", trace)
	}
}

// TestSearchStopsAtItsLimit demands that many hostile rules do not add up.
func TestSearchStopsAtItsLimit(t *testing.T) {
	rules := make([]Rule, 100)
	for i := range rules {
		rules[i] = Rule{Pos: Position{Line: i + 1}, Service: "bomb", Pattern: bomb}
	}
	list, err := CompileList(rules)
	if err != nil {
		t.Fatal(err)
	}
	var sc Scratch
	res := NewSet(list).Match(&sc, []byte(strings.Repeat("a", 2000)+"cb"))
	const atLimit = (MaxSearchSteps + engine.MaxSteps - 1) / engine.MaxSteps
	if n := len(res.Undecided); n != atLimit+1 || res.Rule != nil || res.Steps > MaxSearchSteps+engine.MaxSteps {
		t.Errorf("%d rules undecided after %d steps, want %d and the one that was not tried", n, res.Steps, atLimit)
	}
}

// TestSearchAtItsLimitTellsOfLaterLists demands that rules which were never
// looked at are not taken for misses.
func TestSearchAtItsLimitTellsOfLaterLists(t *testing.T) {
	var rules []Rule
	for range MaxSearchSteps/engine.MaxSteps + 1 {
		rules = append(rules, Rule{Service: "bomb", Pattern: bomb})
	}
	bombs, err := CompileList(rules)
	if err != nil {
		t.Fatal(err)
	}
	later, err := CompileList([]Rule{{Service: "later", Pattern: `^aaaaaaaaaaaa`}})
	if err != nil {
		t.Fatal(err)
	}
	var sc Scratch
	res := NewSet(bombs, later).Match(&sc, []byte(strings.Repeat("a", 2000)+"cb"))
	if n := len(res.Undecided); n == 0 || res.Undecided[n-1].Service != "later" || res.Rule != nil {
		t.Errorf("rule %v, %d undecided, want the later list's rule among them", res.Rule, n)
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	list, err := CompileList([]Rule{
		{Service: "a", Pattern: `^HTTP/1\.[01] \d\d\d(?:[^\r\n]*\r\n(?!\r\n))*?Server: x`},
		{Service: "b", Pattern: `Server: (\w+)`, Fields: Fields{Product: "fixed"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, sc := NewSet(list), NewScratch()
	answer := []byte("HTTP/1.1 200 OK\r\nServer: y\r\n\r\nServer: x")
	set.Match(sc, answer)
	if n := testing.AllocsPerRun(100, func() { set.Match(sc, answer) }); n != 0 {
		t.Errorf("%v allocations in a search", n)
	}
}
