package engine_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"sonde/match/engine"
	"sonde/match/syntax"
)

func TestStrategy(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		want    engine.Strategy
	}{
		{`^SSH-([\d.]+)-OpenSSH_([\w.]+)[ \r\n]`, engine.OnePass},
		{`^220 ([-\w]+) ready\r\n$`, engine.OnePass},
		{`^(?:a|b)+c`, engine.OnePass},
		{`^a.*b`, engine.Automaton},
		{`Server: (\w+)`, engine.Automaton},
		{`^(?:[^\r\n]*\r\n(?!\r\n))*?Server: x`, engine.Backtrack},
		{`^a(?>b*)c`, engine.Backtrack},
		{`^(a*)b\1`, engine.Backtrack},
		{`^a.{600}b|c`, engine.Backtrack},
	} {
		if got := compile(t, tt.pattern, "").Strategy(); got != tt.want {
			t.Errorf("strategy of %q is %v, want %v", tt.pattern, got, tt.want)
		}
	}
}

// engines searches with each engine that can run the pattern. They must agree
// in the match and its groups, as far as they give them.
func engines(t *testing.T, m *engine.Machine, pattern string, flags syntax.Flags, b []byte) (onePass, automaton bool) {
	re, err := syntax.Parse(pattern, flags)
	if err != nil {
		return false, false
	}
	var c engine.Compiler
	p, err := c.Compile(re)
	if err != nil {
		return false, false
	}
	groups, undecided := groupsOf(m, p, b, m.SearchBacktrack)
	if undecided {
		return false, false
	}
	chosen, unknown := groupsOf(m, p, b, m.Search)
	if !unknown && !slices.Equal(chosen, groups) {
		t.Errorf("%q on %q: %v has %v, plain backtracking %v", pattern, b, p.Strategy(), chosen, groups)
	}
	visited, unknown := groupsOf(m, p, b, m.SearchVisited)
	if !unknown && !slices.Equal(visited, groups) {
		t.Errorf("%q on %q: with visited bits %v, without %v", pattern, b, visited, groups)
	}
	accepted, exact, ok := m.Accepts(p, b)
	if ok && (groups != nil && !accepted || exact && groups == nil && accepted) {
		t.Errorf("%q on %q: the automaton accepts: %v (exact: %v), backtracking has %v",
			pattern, b, accepted, exact, groups)
	}
	return p.Strategy() == engine.OnePass, ok && exact
}

func TestEnginesAgree(t *testing.T) {
	rng := &patternMaker{Rand: rand.New(rand.NewPCG(8, 9))}
	var m engine.Machine
	onePass, automaton := 0, 0
	for range 20000 {
		pattern := rng.pattern()
		if rng.IntN(2) == 0 {
			pattern = "^" + pattern
		}
		flags := syntax.Flags{IgnoreCase: rng.IntN(4) == 0, DotAll: rng.IntN(3) == 0}
		for range 3 {
			one, auto := engines(t, &m, pattern, flags, rng.subject())
			if one {
				onePass++
			}
			if auto {
				automaton++
			}
		}
	}
	if onePass < 1000 || automaton < 10000 {
		t.Errorf("only %d one-pass searches and %d by an exact automaton", onePass, automaton)
	}
}

// FuzzEngines compares the engines on any pattern.
func FuzzEngines(f *testing.F) {
	for _, tt := range cases {
		f.Add(tt.pattern, []byte(tt.subject), tt.flags == "i", tt.flags == "s")
	}
	var m engine.Machine
	f.Fuzz(func(t *testing.T, pattern string, b []byte, fold, dotAll bool) {
		engines(t, &m, pattern, syntax.Flags{IgnoreCase: fold, DotAll: dotAll}, b[:min(len(b), 256)])
	})
}
