package engine_test

import (
	"slices"
	"strings"
	"testing"

	"sonde/match/engine"
	"sonde/match/syntax"
)

// cases say what patterns mean. The integration test asks PCRE2 about each, so
// that they cannot be wrong together with the engine.
var cases = []struct {
	pattern, flags, subject string
	want                    []int32 // groups; nil is a miss
}{
	// Places.
	{`^b`, "", "a\nb", nil},
	{`a$`, "", "a", []int32{0, 1}},
	{`a$`, "", "a\n", []int32{0, 1}},
	{`a$`, "", "a\n\n", nil},
	{`a$`, "", "a\r\n", nil},
	{`a\Z`, "", "a\n", []int32{0, 1}},
	{`a\z`, "", "a\n", nil},
	{`a$\n`, "", "a\n", []int32{0, 2}},
	{`\bab\b`, "", "xab ab.", []int32{4, 6}},
	{`\Bb`, "", "b ab", []int32{3, 4}},
	{`\b\xe9`, "", "a\xe9", []int32{1, 2}}, // bytes above 127 are no letters
	// Dot and newline.
	{`a.b`, "", "a\nb", nil},
	{`a.b`, "s", "a\nb", []int32{0, 3}},
	{`a.b`, "", "a\rb", []int32{0, 3}},
	{`a.b`, "", "a\x00b", []int32{0, 3}},
	{`a(?s:.)b.`, "", "a\nb\n", nil},
	{`a(?s).b`, "", "a\nb", []int32{0, 3}},
	{`a(?-s).b`, "s", "a\nb", nil},
	{`a\Nb`, "s", "a\nb", nil},
	{`a\Rb`, "", "a\r\nb", []int32{0, 4}},
	{`a\R\nb`, "", "a\r\nb", nil}, // CR LF is taken as one
	// Bytes, never characters.
	{`^.$`, "", "\xc3\xa9", nil},
	{`^..$`, "", "\xc3\xa9", []int32{0, 2}},
	{`[\x80-\xff]+`, "", "a\xc3\xa9b", []int32{1, 3}},
	{"[\xc3]", "", "\xc3\xa9", []int32{0, 1}},
	{`\xe9`, "i", "\xc9", nil}, // only ASCII letters have case
	{`\0\x00\x{0}\00`, "", "\x00\x00\x00\x00", []int32{0, 4}},
	{`\x4`, "", "\x04", []int32{0, 1}},
	{`\x`, "", "\x00", []int32{0, 1}},
	{`\0101`, "", "\x081", []int32{0, 2}},
	{`\101`, "", "A", []int32{0, 1}},
	{`\cA\e\a\f`, "", "\x01\x1b\x07\x0c", []int32{0, 4}},
	{`\x{41}\o{102}`, "", "AB", []int32{0, 2}},
	// Classes.
	{`\s+`, "", "a\t\n\v\f\r b", []int32{1, 7}},
	{`\v`, "", "\v", []int32{0, 1}},
	{`\v+`, "", "\n\v\f\r\x85", []int32{0, 5}},
	{`\h+`, "", "a \t\xa0b", []int32{1, 4}},
	{`[]a]+`, "", "a]", []int32{0, 2}},
	{`[^]a]+`, "", "a]b", []int32{2, 3}},
	{`[a\]-]+`, "", "-]a", []int32{0, 3}},
	{`[\b]`, "", "\b", []int32{0, 1}},
	{`[^a]`, "", "\n", []int32{0, 1}},
	{`[^a]`, "i", "A", nil},
	{`[A-Z]+`, "i", "aZ", []int32{0, 2}},
	{`[\w-]+`, "", "a-_", []int32{0, 3}},
	{`[[:alpha:]_]+`, "", "1aB_", []int32{1, 4}},
	{`[[:^digit:]]`, "", "1a", []int32{1, 2}},
	{`[[:upper:]]`, "i", "a", []int32{0, 1}},
	{`[a[:]b`, "", ":b", []int32{0, 2}},
	{`[\Q]^\E]+`, "", "]^", []int32{0, 2}},
	{`[\d\D]`, "", "\n", []int32{0, 1}},
	{`\Qa.*\E*b`, "", "a.**b", []int32{0, 5}},
	// Braces that are no quantifiers.
	{`a{`, "", "a{", []int32{0, 2}},
	{`a{1`, "", "a{1", []int32{0, 3}},
	{`a{,2}`, "", "a{,2}", []int32{0, 5}},
	{`{"a":{}}`, "", `{"a":{}}`, []int32{0, 8}},
	{`a{2}`, "", "aaa", []int32{0, 2}},
	{`a{2,}`, "", "aaa", []int32{0, 3}},
	{`a{1,2}?b`, "", "aaab", []int32{1, 4}},
	// Preference.
	{`a|ab`, "", "ab", []int32{0, 1}},
	{`(a|ab)(c|bcd)`, "", "abcd", []int32{0, 4, 0, 1, 1, 4}},
	{`a+?`, "", "aaa", []int32{0, 1}},
	{`(a+?)(a*)`, "", "aaa", []int32{0, 3, 0, 1, 1, 3}},
	{`(a*)(a*)b`, "", "aab", []int32{0, 3, 0, 2, 2, 2}},
	{`(a)|(b)`, "", "b", []int32{0, 1, -1, -1, 0, 1}},
	{`(a)|b`, "", "b", []int32{0, 1}},
	{`(?:(a)|b)*c`, "", "abc", []int32{0, 3, 0, 1}}, // a group keeps its last
	{`(a*)+b`, "", "aab", []int32{0, 3, 2, 2}},      // and runs once more, empty
	{`(|a)+b`, "", "aab", []int32{0, 3, 2, 2}},
	{`(a|b*)*c`, "", "abbc", []int32{0, 4, 3, 3}},
	{`(?:a?){3}b`, "", "aab", []int32{0, 3}},
	{`(?:a?)*?b`, "", "aab", []int32{0, 3}},
	// Case.
	{`abc`, "i", "xABC", []int32{1, 4}},
	{`a(?i)b|c`, "", "C", []int32{0, 1}}, // reaches into the next branch
	{`(?:a(?i)b)c`, "", "aBC", nil},
	{`(?i:a)b`, "", "AB", nil},
	{`(a)\1`, "i", "aA", []int32{0, 2, 0, 1}},
	{`[k]`, "i", "K", []int32{0, 1}},
	{`@`, "i", "`", nil},
	// Back-references.
	{`(a|b)\1`, "", "abb", []int32{1, 3, 1, 2}},
	{`(?:(a)|b)\1`, "", "ba", nil}, // one unset matches nothing
	{`(a\1?){3}`, "", "aaaa", []int32{0, 4, 3, 4}},
	{`(["']).*?\1`, "", `x"a'b"c`, []int32{1, 6, 1, 2}},
	// Look-around.
	{`a(?=b)`, "", "acab", []int32{2, 3}},
	{`a(?!b)`, "", "abac", []int32{2, 3}},
	{`(?=(a+))a`, "", "aaa", []int32{0, 1, 0, 3}},
	{`(?!(a)b)a`, "", "ac", []int32{0, 1}},
	{`(?<=a|bc)d`, "", "adbcd", []int32{1, 2}},
	{`(?<!a)b`, "", "abb", []int32{2, 3}},
	{`(?<=^a)b`, "", "ab", []int32{1, 2}},
	{`^(?:[^\r\n]*\r\n(?!\r\n))*?B:(\d)`, "", "A:1\r\nB:2\r\n\r\nB:3", []int32{0, 8, 7, 8}},
	{`^(?:[^\r\n]*\r\n(?!\r\n))*?C:(\d)`, "", "A:1\r\nB:2\r\n\r\nC:3", nil},
	{`(?!a(?!b))a`, "", "ab", []int32{0, 1}},
	// Atomic and possessive.
	{`(?>a+)a`, "", "aaa", nil},
	{`a++a`, "", "aaa", nil},
	{`(?>a|ab)c`, "", "abc", nil},
	{`(?>.*?b)c`, "", "abbc", []int32{2, 4}},
	{`(?:a|ab)++c`, "", "abc", nil},
	{`a?+a`, "", "a", nil},
	{`a{1,2}+a`, "", "aaa", []int32{0, 3}},
	{`x(?>(a)|b)+c`, "", "xabc", []int32{0, 4, 1, 2}},
	{`(?:(?>(a))b|ac)`, "", "ac", []int32{0, 2}}, // its group is unset again
	// Start and end of a long run.
	{`a.*b`, "s", "a" + strings.Repeat("xb", 200) + "c", []int32{0, 401}},
	{`a.*?b`, "s", "a" + strings.Repeat("x", 400) + "bb", []int32{0, 402}},
	{`x{300}y`, "", strings.Repeat("x", 301) + "y", []int32{1, 302}},
}

func TestCases(t *testing.T) {
	var c engine.Compiler
	var m engine.Machine
	for _, tt := range cases {
		flags := syntax.Flags{
			IgnoreCase: strings.Contains(tt.flags, "i"),
			DotAll:     strings.Contains(tt.flags, "s"),
		}
		re, err := syntax.Parse(tt.pattern, flags)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.pattern, err)
			continue
		}
		p, err := c.Compile(re)
		if err != nil {
			t.Errorf("Compile(%q): %v", tt.pattern, err)
			continue
		}
		for way, search := range searches(&m) {
			got, undecided := groupsOf(&m, p, []byte(tt.subject), search)
			if undecided || !slices.Equal(got, tt.want) {
				t.Errorf("%q (%s) on %.40q, %s: %v, want %v",
					tt.pattern, tt.flags, tt.subject, way, got, tt.want)
			}
		}
	}
}
