package engine_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"sonde/match/engine"
	"sonde/match/syntax"
)

// latin1 gives bytes as the characters of the same numbers, so that Go's
// regexp, which knows only characters, sees one for each byte.
func latin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// goGroups searches with Go's regexp and gives byte offsets.
func goGroups(re *regexp.Regexp, b []byte) []int32 {
	text := latin1(b)
	loc := re.FindStringSubmatchIndex(text)
	if loc == nil {
		return nil
	}
	offsets := make([]int32, 0, len(b)+1) // of each byte of text, in b
	for i, r := range []rune(text) {
		for range len(string(r)) {
			offsets = append(offsets, int32(i))
		}
	}
	offsets = append(offsets, int32(len(b)))
	var groups []int32
	set := 0
	for i, at := range loc {
		if at < 0 {
			groups = append(groups, -1)
			continue
		}
		groups = append(groups, offsets[at])
		set = i / 2
	}
	return groups[:2*set+2]
}

// againstGo compares one random pattern on one subject; false means that the
// pattern is not one that both have.
func againstGo(t *testing.T, m *engine.Machine, pattern string, b []byte) bool {
	re, err := syntax.Parse(pattern, syntax.Flags{})
	if err != nil {
		return false // it can match the empty string
	}
	var c engine.Compiler
	p, err := c.Compile(re)
	if err != nil {
		t.Fatalf("Compile(%q): %v", pattern, err)
	}
	if p.HasEmptyLoops() {
		return false // Go ends loops over the empty string in its own way
	}
	want := goGroups(regexp.MustCompile(pattern), b)
	for way, search := range searches(m) {
		got, undecided := groupsOf(m, p, b, search)
		if undecided && way == "plain" {
			continue // without visited bits some patterns are exponential
		}
		if undecided || !slices.Equal(got, want) {
			t.Errorf("%q on %q, %s: %v (undecided %v), Go has %v",
				pattern, b, way, got, undecided, want)
		}
	}
	return true
}

// TestFindsWhatGoFinds compares match and groups with Go's regexp.
func TestFindsWhatGoFinds(t *testing.T) {
	rng := &patternMaker{Rand: rand.New(rand.NewPCG(5, 6)), goOnly: true}
	var m engine.Machine
	compared := 0
	for range 4000 {
		pattern := rng.pattern()
		for range 5 {
			if againstGo(t, &m, pattern, rng.subject()) {
				compared++
			}
		}
	}
	if compared < 10000 {
		t.Errorf("only %d pairs compared", compared)
	}
}

// FuzzAgainstGo does the same with patterns grown from a seed.
func FuzzAgainstGo(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, []byte("aab\nba\xffc1 A"))
	}
	var m engine.Machine
	f.Fuzz(func(t *testing.T, seed uint64, b []byte) {
		rng := &patternMaker{Rand: rand.New(rand.NewPCG(seed, 7)), goOnly: true}
		againstGo(t, &m, rng.pattern(), b[:min(len(b), 4096)])
	})
}

// FuzzVisited compares the search with visited bits with that without, on any
// pattern: they may only differ in what they cannot decide.
func FuzzVisited(f *testing.F) {
	for _, tt := range cases {
		f.Add(tt.pattern, []byte(tt.subject))
	}
	var m engine.Machine
	f.Fuzz(func(t *testing.T, pattern string, b []byte) {
		re, err := syntax.Parse(pattern, syntax.Flags{})
		if err != nil {
			return
		}
		var c engine.Compiler
		p, err := c.Compile(re)
		if err != nil {
			return
		}
		b = b[:min(len(b), 256)]
		plain, unknown := groupsOf(&m, p, b, m.Search)
		bits, unknown2 := groupsOf(&m, p, b, m.SearchVisited)
		if !unknown && !unknown2 && !slices.Equal(plain, bits) {
			t.Errorf("%q on %q: %v, with visited bits %v", pattern, b, plain, bits)
		}
	})
}
