package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sonde/match/syntax"
)

func facts(t *testing.T, pattern string) []Facts {
	t.Helper()
	re, err := syntax.Parse(pattern, syntax.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	return FactsOf(re)
}

// describe writes facts as text: the runs with their offsets, a tilde where
// case does not matter, the number of head bytes, lengths, and the tail.
func describe(f *Facts) string {
	var b strings.Builder
	for _, r := range f.Runs {
		fold := ""
		if r.Fold {
			fold = "~"
		}
		fmt.Fprintf(&b, "%s%q@%d ", fold, r.Text, r.Offset)
	}
	fmt.Fprintf(&b, "head %d length %d-%d", len(f.Head), f.MinLen, f.MaxLen)
	if f.Tail {
		b.WriteString(" tail")
	}
	return b.String()
}

func TestFactsOf(t *testing.T) {
	for _, tt := range []struct{ pattern, want string }{
		{`^abc`, `"abc"@0 head 3 length 3--1`},
		{`abc`, `"abc"@-1 head 0 length 3--1`},
		{`^a[bc]d$`, `"a"@0 "d"@2 head 3 length 3-4 tail`},
		{`^ab.*cd`, `"ab"@0 "cd"@-1 head 4 length 4--1`},
		{`^a(bc)?d`, `"a"@0 "d"@-1 head 2 length 2--1`},
		{`^(?i:ab)c`, `~"abc"@0 head 3 length 3--1`},
		{`^a{3}b`, `"aaab"@0 head 4 length 4--1`},
		{`^(?:ab){2,}c`, `"abab"@0 "c"@-1 head 5 length 5--1`},
		{`^(?:ab|cd)ef`, `"ef"@2 head 4 length 4--1`},
		{`^(?:a|bc)ef`, `"ef"@-1 head 3 length 3--1`},
		{`^a(?!b)c`, `"ac"@0 head 2 length 2--1`},
		{`^a(?>.*?bc)`, `"a"@0 "bc"@-1 head 3 length 3--1`},
		{`^(a)\1b`, `"a"@0 "b"@-1 head 1 length 3--1`},
		{`^.{20}ab$`, `"ab"@20 head 16 length 22-23 tail`},
		{`ab\r\n$`, `"ab\r\n"@-1 head 0 length 4--1 tail`},
		{`^ab(?:c$)?`, `"ab"@0 head 2 length 2--1`},
	} {
		all := facts(t, tt.pattern)
		if got := describe(&all[0]); len(all) != 1 || got != tt.want {
			t.Errorf("facts of %s: %s (%d), want %s", tt.pattern, got, len(all), tt.want)
		}
	}
}

func TestFactsOfBranches(t *testing.T) {
	all := facts(t, `(^abc|x+yz$)`)
	if len(all) != 2 || describe(&all[0]) != `"abc"@0 head 3 length 3--1` ||
		describe(&all[1]) != `"x"@-1 "yz"@-1 head 0 length 3--1 tail` {
		t.Errorf("facts of two branches: %+v", all)
	}
}

// TestFactsEndWithNestedCounts demands that counted groups in counted groups
// are not followed one by one.
func TestFactsEndWithNestedCounts(t *testing.T) {
	pattern := strings.Repeat("(?:", 60) + "a" + strings.Repeat("){30}", 60)
	re, err := syntax.Parse("^b"+pattern, syntax.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if f := FactsOf(re); string(f[0].Runs[0].Text[:2]) != "ba" {
		t.Errorf("facts %+v", f[0].Runs[0])
	}
}

func TestSharedBitsHoldForAllBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var s syntax.ByteSet
		for range 1 + rng.IntN(6) {
			s.Add(byte(rng.IntN(256)))
		}
		value, mask := sharedBits(&s)
		for bit := range 8 {
			ones, zeros := 0, 0
			for c := range 256 {
				if s.Contains(byte(c)) {
					ones += c >> bit & 1
					zeros += ^c >> bit & 1
				}
			}
			same := ones == 0 || zeros == 0
			if same != (mask>>bit&1 == 1) || same && (ones > 0) != (value>>bit&1 == 1) {
				t.Fatalf("set %v: value %08b mask %08b, bit %d is set in %d and clear in %d", s, value, mask, bit, ones, zeros)
			}
		}
	}
}

// TestScanFindsEveryPhase puts windows at every place and cuts the subject
// wherever it can be cut.
func TestScanFindsEveryPhase(t *testing.T) {
	texts := []string{"abcdefgh", "bcdefghi", "HTTP/1.1", "\x00\x01\x02\x03\x04\x05\x06\x07", "aaaaaaab"}
	keys := make(map[uint64][]int32)
	for i, text := range texts {
		keys[foldText([]byte(text))] = []int32{int32(i)}
	}
	f := newFilter(keys)
	for _, text := range texts {
		for at := range 20 {
			b := []byte(strings.Repeat("-", at) + text + "tail"[:at%5])
			for cut := range len(b) + 1 {
				var found foundWindows
				found.grow(len(f.windows))
				from, _ := f.scan(b[:cut], 0, false, &found)
				f.scan(b, from, true, &found)
				if !f.has(&found, text) {
					t.Fatalf("window %q at %d is not found when the subject is cut at %d", text, at, cut)
				}
			}
		}
	}
}

func (f *filter) has(found *foundWindows, text string) bool {
	return slices.ContainsFunc(found.windows, func(w uint32) bool {
		return f.windows[w].text == foldText([]byte(text))
	})
}

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		b, text string
		fold    bool
		want    int
	}{
		{"xxAbc abc", "abc", true, 2},
		{"xxAbc abc", "abc", false, 6},
		{"ABxabC", "abc", true, 3},
		{"", "abc", true, -1},
		{"ab", "abc", true, -1},
		{"server: X", "x", true, 8},
		{"Q-q", "q", true, 0},
		{"q-Q", "q", true, 0},
		{strings.Repeat("axb", 20) + "abx", "abx", false, 60},
		{strings.Repeat("x", 20) + "ab", "abx", false, -1},
	} {
		if got, _ := find([]byte(tt.b), []byte(tt.text), rarest([]byte(tt.text)), tt.fold); got != tt.want {
			t.Errorf("find(%q, %q, %v) = %d, want %d", tt.b, tt.text, tt.fold, got, tt.want)
		}
	}
}

// TestCandidatesInOrder walks the candidates of a small index.
func TestCandidatesInOrder(t *testing.T) {
	var b Builder
	patterns := []string{`^HTTP/1\.1 404`, `Server: nginx`, `^HTTP.*X-Powered-By: PHP`, `^220 `, `^H`, `(?:Server: nginx|^220 )x`,
		`Server: lighttpd`, `Server: Cherokee`, `Server: thttpd/2`, `Server: gunicorn`}
	for _, p := range patterns {
		b.Add(facts(t, p))
	}
	x := b.Build()
	var s State
	s.Begin(x)
	subject := []byte("HTTP/1.1 200 OK\r\nServer: nginx\r\n")
	waiting := s.Fixed(x, subject)
	if waiting != 1 || x.Len() != len(patterns) {
		t.Errorf("line %d of %d waits first, want 1 of %d", waiting, x.Len(), len(patterns))
	}
	s.Float(x, subject, x.Len())
	var got []int
	for line := s.Next(0); line >= 0; line = s.Next(line + 1) {
		got = append(got, line)
	}
	if fmt.Sprint(got) != "[1 4 5]" {
		t.Errorf("candidates %v, want [1 4 5]", got)
	}
	for _, want := range []int{1, 4, -1, -1} {
		if line := s.Take(5); line != want {
			t.Errorf("took %d, want %d", line, want)
		}
	}
	if next := s.Next(2); next != 5 {
		t.Errorf("after 1 comes %d, want 5", next)
	}
}

// TestHeadOf lists the sets of bytes that can stand at the first offsets.
func TestHeadOf(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		want    []string // as classes, "" for an offset that is not known
	}{
		{`^a?b`, []string{"[ab]"}},
		{`^a?bc`, []string{"[ab]", "[bc]"}},
		{`^(?:ATZ)?\+OK`, []string{`[A+]`, `[TO]`, `[ZK]`}},
		{`^(?:ba|c)?d`, []string{"[bcd]"}},
		{`^\d+-`, []string{`\d`, `[-\d]`}},
		{`^\d+-x`, []string{`\d`, `[-\d]`, `[-\dx]`}},
		{`^(?:a{2}|b{3})c`, []string{"[ab]", "[ab]", "[bc]"}},
		{`^(?:x+y){2}`, []string{"x", "[xy]", "[xy]", "[xy]"}},
		{`^a(?=b)c(?!d)(?<=c)e$`, []string{"a", "c", "e"}},
		{`^(a)\1b`, []string{"a"}},
		{`^(?i:k)`, []string{"[kK]"}},
		{`^(?:a?)*b`, []string{"[ab]"}},
	} {
		head := facts(t, tt.pattern)[0].Head
		var want []syntax.ByteSet
		for _, class := range tt.want {
			re, err := syntax.Parse(class, syntax.Flags{})
			if err != nil {
				t.Fatal(err)
			}
			set, _ := re.Root.Single()
			want = append(want, set)
		}
		if !slices.Equal(head, want) {
			t.Errorf("head of %s: %v, want %v", tt.pattern, head, want)
		}
	}
}

// TestLineSet compares with a plain set, over several resets.
func TestLineSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var s lineSet
	for range 300 {
		n := 1 + rng.IntN(9000)
		s.reset(n)
		var want []int
		for range rng.IntN(40) {
			line := rng.IntN(n)
			s.add(int32(line))
			want = append(want, line)
		}
		slices.Sort(want)
		want = slices.Compact(want)
		var got []int
		for line := s.next(0); line >= 0; line = s.next(line + 1) {
			got = append(got, line)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("next gives %v, want %v", got, want)
		}
		limit := rng.IntN(n + 1)
		got = nil
		for line := s.take(limit); line >= 0; line = s.take(limit) {
			got = append(got, line)
		}
		below, _ := slices.BinarySearch(want, limit)
		if !slices.Equal(got, want[:below]) {
			t.Fatalf("take gives %v below %d, want %v", got, limit, want[:below])
		}
	}
}
