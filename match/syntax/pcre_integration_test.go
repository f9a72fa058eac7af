//go:build integration

package syntax_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"sonde/match/internal/pcretest"
	"sonde/match/syntax"
)

// fragments are what random patterns are made of: every construct, whole and
// broken.
var fragments = []string{
	"a", "b", "-", " ", "{", "}", ",", "1", "2", "]", "[", "[^", "^", "$", ".", "|",
	"(", ")", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i)", "(?s)", "(?-i)", "(?i:", "(?#x)",
	"*", "+", "?", "*?", "++", "{2}", "{1,}", "{0,2}", "{2,1}", "{,3}", "{65536}",
	`\d`, `\D`, `\w`, `\s`, `\S`, `\h`, `\v`, `\n`, `\r`, `\t`, `\0`, `\01`, `\012`, `\1`, `\2`, `\8`, `\10`, `\377`, `\400`,
	`\x`, `\x4`, `\x41`, `\x{41}`, `\x{141}`, `\o{101}`, `\cA`, `\c`, `\b`, `\B`, `\A`, `\Z`, `\z`, `\G`,
	`\Q`, `\E`, `\.`, `\-`, `\]`, `\\`, `\_`, `\q`, `\i`, `\N`, `\R`, `\e`, `\a`, `\f`, `\xff`,
	"[:alpha:]", "[:^digit:]", "[:upper:]", "[:foo:]", "[.a.]", "[a-c]", "[c-a]", "a-c", `\d-a`, "\xff", "\x00", "A-Z", "(?<n>", "(?'m'", "(?P<o>",
}

// TestAcceptsAsPCRE2 compares which patterns compile, which can match the
// empty string, and how many groups they have.
func TestAcceptsAsPCRE2(t *testing.T) {
	o := pcretest.Start(t)
	rng := rand.New(rand.NewPCG(1, 2))
	compared, unsupported := 0, 0
	for range 100000 {
		var b strings.Builder
		for range 1 + rng.IntN(9) {
			b.WriteString(fragments[rng.IntN(len(fragments))])
		}
		pattern := b.String()
		if strings.Count(pattern, "{65536}") == 0 && rng.IntN(3) == 0 {
			pattern += strings.Repeat(")", strings.Count(pattern, "("))
		}
		fold := rng.IntN(2) == 0
		re, err := syntax.Parse(pattern, syntax.Flags{IgnoreCase: fold})
		if errors.Is(err, syntax.ErrUnsupported) {
			unsupported++
			continue
		}
		want := o.Compile(pattern, fold, false)
		compared++
		empty := errors.Is(err, syntax.ErrMatchesEmpty)
		switch {
		case (err == nil || empty) != (want.Error == 0):
			t.Errorf("Parse(%q) = %v, PCRE2 error %d at %d", pattern, err, want.Error, want.Offset)
		case want.Error == 0 && empty != want.MatchesEmpty:
			t.Errorf("Parse(%q) = %v, PCRE2 matches-empty %v", pattern, err, want.MatchesEmpty)
		case err == nil && re.Groups != want.Groups:
			t.Errorf("Parse(%q) has %d groups, PCRE2 %d", pattern, re.Groups, want.Groups)
		}
	}
	t.Logf("%d patterns compared, %d left out as unsupported", compared, unsupported)
}
