//go:build integration

package engine_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sonde/match/engine"
	"sonde/match/internal/pcretest"
	"sonde/match/syntax"
)

// TestFindsWhatPCRE2Finds compares match and groups on random patterns and
// subjects, with and without visited bits.
func TestFindsWhatPCRE2Finds(t *testing.T) {
	o := pcretest.Start(t)
	o.Plain = true
	o.Limit(1_000_000)
	rng := &patternMaker{Rand: rand.New(rand.NewPCG(3, 4))}
	const rounds, subjects = 40000, 10
	compared, hits, undecidedCount := 0, 0, 0
	var c engine.Compiler
	var m engine.Machine
	for range rounds {
		pattern, fold, dotAll := rng.pattern(), rng.IntN(4) == 0, rng.IntN(3) == 0
		re, err := syntax.Parse(pattern, syntax.Flags{IgnoreCase: fold, DotAll: dotAll})
		if errors.Is(err, syntax.ErrMatchesEmpty) || errors.Is(err, syntax.ErrUnsupported) {
			continue
		}
		if err != nil {
			t.Fatalf("Parse(%q): %v", pattern, err)
		}
		p, err := c.Compile(re)
		if err != nil {
			t.Fatalf("Compile(%q): %v", pattern, err)
		}
		number := o.Compile(pattern, fold, dotAll)
		if number.Error != 0 {
			t.Fatalf("PCRE2 refuses %q with error %d", pattern, number.Error)
		}
		for range subjects {
			b := rng.subject()
			if rng.IntN(50) == 0 {
				b = []byte(strings.Repeat(string(b), 1+rng.IntN(4)))
			}
			o.Subject(b)
			want := o.All([]int32{int32(number.Number)})[0]
			if slices.Equal(want, pcretest.GaveUp) {
				continue
			}
			compared++
			if want != nil {
				hits++
			}
			for way, search := range searches(&m) {
				got, undecided := groupsOf(&m, p, b, search)
				if undecided {
					undecidedCount++
					continue
				}
				if !slices.Equal(got, want) {
					t.Errorf("%q fold=%v dotall=%v on %q, %s:\n got %v\nwant %v",
						pattern, fold, dotAll, b, way, got, want)
				}
			}
		}
	}
	t.Logf("%d (pattern, subject) pairs compared, %d of them hits, %d searches undecided",
		compared, hits, undecidedCount)
}

// TestCasesOnPCRE2 runs the table of cases on PCRE2.
func TestCasesOnPCRE2(t *testing.T) {
	o := pcretest.Start(t)
	o.Plain = true
	for _, tt := range cases {
		p := o.Compile(tt.pattern, strings.Contains(tt.flags, "i"), strings.Contains(tt.flags, "s"))
		o.Subject([]byte(tt.subject))
		got := o.All([]int32{int32(p.Number)})[0]
		if p.Error != 0 || !slices.Equal(got, tt.want) {
			t.Errorf("%q (%s) on %.40q: PCRE2 has %v (error %d), the table %v",
				tt.pattern, tt.flags, tt.subject, got, p.Error, tt.want)
		}
	}
}
