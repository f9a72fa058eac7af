package syntax_test

import (
	"errors"
	"strings"
	"testing"

	"sonde/match/syntax"
)

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		offset  int
		reason  string // part of it
	}{
		{`ab\`, 2, "backslash at the end"},
		{`ab\q`, 2, `unknown escape \q`},
		{`ab*{2}`, 3, "without anything to repeat"},
		{`a**`, 2, "without anything to repeat"},
		{`*a`, 0, "without anything to repeat"},
		{`(?:+a)`, 3, "without anything to repeat"},
		{`{2}a`, 0, "without anything to repeat"},
		{`^*a`, 1, "cannot be repeated"},
		{`a\b+`, 3, "cannot be repeated"},
		{`ab(c`, 2, "missing closing parenthesis"},
		{`(?:ab`, 0, "missing closing parenthesis"},
		{`ab)c`, 2, "unmatched closing parenthesis"},
		{`a[bc`, 1, "without closing bracket"},
		{`a[]`, 1, "without closing bracket"},
		{`[z-a]`, 2, "out of order"},
		{`[a-\d]`, 2, "ends with a set"},
		{`[\d-z]`, 3, "starts with a set"},
		{`[[:nope:]]`, 1, "unknown class name"},
		{`[[.a.]]`, 1, "collating"},
		{`x[:alpha:]`, 1, "outside a class"},
		{`[\B]`, 1, "no meaning in a class"},
		{`a{3,2}`, 1, "out of order"},
		{`a{65536}`, 1, "above 65535"},
		{`a\x{100}`, 1, "above 255"},
		{`a\x{1g}`, 5, "not a digit"},
		{`a\x{}`, 1, "no digits"},
		{`a\400`, 1, "above 255"},
		{`a\o17`, 1, `\o without {`},
		{`a\2(b)`, 1, "group 2, which does not exist"},
		{`a(?#b`, 1, "comment without"},
		{`(?<n>a)(?<n>b)`, 9, "second group named"},
		{`(?<1>a)`, 2, "malformed group name"},
		{`(?i-s-i)a`, 5, "second '-'"},
		{strings.Repeat("(", 251), 250, "nested groups"},
	} {
		_, err := syntax.Parse(tt.pattern, syntax.Flags{})
		var se *syntax.Error
		if !errors.As(err, &se) {
			t.Errorf("Parse(%q) = %v, want an *Error", tt.pattern, err)
			continue
		}
		if se.Offset != tt.offset || !strings.Contains(se.Reason, tt.reason) || se.Err != nil {
			t.Errorf("Parse(%q) = %v, want %q at offset %d", tt.pattern, err, tt.reason, tt.offset)
		}
	}
}

func TestParseUnsupported(t *testing.T) {
	for pattern, offset := range map[string]int{
		`ab(?R)`:      2,
		`a(?1)(b)`:    1,
		`(?x) a`:      0,
		`a(?m)^b`:     1,
		`a(?|b|c)`:    1,
		`(*UTF)a`:     0,
		`a\K`:         1,
		`\p{L}`:       0,
		`[\pL]`:       1,
		`a\N{U+41}`:   1,
		`(a)\g{1}`:    3,
		`(?(1)a|b)`:   0,
		`(?<=a*)b`:    0,
		`(?<!(a|bc))`: 0,
	} {
		_, err := syntax.Parse(pattern, syntax.Flags{})
		var se *syntax.Error
		if !errors.As(err, &se) || !errors.Is(err, syntax.ErrUnsupported) || se.Offset != offset {
			t.Errorf("Parse(%q) = %v, want ErrUnsupported at offset %d", pattern, err, offset)
		}
	}
}

func TestParseMatchesEmpty(t *testing.T) {
	for _, pattern := range []string{
		``, `^`, `a*`, `a|`, `(?:)`, `^$`, `(?=a)`, `a?b*`, `(a?)\1`, `a{0}`, `\b`, `(?<=a)`, `(?#a)`, `\Q\E`,
	} {
		if _, err := syntax.Parse(pattern, syntax.Flags{}); !errors.Is(err, syntax.ErrMatchesEmpty) {
			t.Errorf("Parse(%q) = %v, want ErrMatchesEmpty", pattern, err)
		}
	}
}

func TestParseFacts(t *testing.T) {
	for _, tt := range []struct {
		pattern  string
		minLen   int
		groups   int
		anchored bool
	}{
		{`abc`, 3, 0, false},
		{`^abc`, 3, 0, true},
		{`\Aa(b|cd)`, 2, 1, true},
		{`(?:^a|^b)`, 1, 0, true},
		{`^a|b`, 1, 0, false},
		{`(?=x)^a`, 1, 0, true},
		{`(?:^)?a`, 1, 0, false},
		{`a{3,5}b*`, 3, 0, false},
		{`(ab)\1`, 4, 1, false},
		{`((a)|b)(c)`, 2, 3, false},
		{`a{899,1536}`, 899, 0, false},
		{`\Qa.b\E+`, 3, 0, false},
		{`(?>^a+)b`, 2, 0, true},
		{`a{,3}`, 5, 0, false}, // literal: no lower bound, no quantifier
		{`a{ 1}`, 5, 0, false},
	} {
		re, err := syntax.Parse(tt.pattern, syntax.Flags{})
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.pattern, err)
			continue
		}
		if re.MinLen != tt.minLen || re.Groups != tt.groups || re.Root.Anchored() != tt.anchored {
			t.Errorf("Parse(%q) has length %d, %d groups, anchored %v; want %d, %d, %v", tt.pattern,
				re.MinLen, re.Groups, re.Root.Anchored(), tt.minLen, tt.groups, tt.anchored)
		}
	}
}

// FuzzParse demands that no pattern makes the parser panic or hang, and that
// errors point into the pattern.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`^SSH-([\d.]+)-(?:OpenSSH_)?([\w.]+)\r?\n$`, `(?i:a)(?-s).\0\x00\x{7f}`, `[]^-]a{2,}?b++`,
		`(?<!a|bc)(?>x*)\1(y)`, `[[:^alpha:]-]\Q*\E`, `{`, `a{1`, `(?#`, `\`, `[\`, "\xff[\x80-\xff]",
	} {
		f.Add(seed, false, false)
		f.Add(seed, true, true)
	}
	f.Fuzz(func(t *testing.T, pattern string, fold, dotAll bool) {
		re, err := syntax.Parse(pattern, syntax.Flags{IgnoreCase: fold, DotAll: dotAll})
		if err != nil {
			var se *syntax.Error
			if !errors.As(err, &se) || se.Offset < 0 || se.Offset > len(pattern) {
				t.Errorf("Parse(%q) = %v: no offset in the pattern", pattern, err)
			}
			return
		}
		if re.MinLen < 1 || re.Groups > strings.Count(pattern, "(") {
			t.Errorf("Parse(%q) has length %d and %d groups", pattern, re.MinLen, re.Groups)
		}
	})
}
