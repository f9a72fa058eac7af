package engine_test

import (
	"errors"
	"strings"
	"testing"

	"sonde/match/engine"
	"sonde/match/syntax"
)

func compile(t *testing.T, pattern, flags string) *engine.Program {
	t.Helper()
	re, err := syntax.Parse(pattern, syntax.Flags{DotAll: strings.Contains(flags, "s")})
	if err != nil {
		t.Fatalf("Parse(%q): %v", pattern, err)
	}
	var c engine.Compiler
	p, err := c.Compile(re)
	if err != nil {
		t.Fatalf("Compile(%q): %v", pattern, err)
	}
	return p
}

// TestExponentialPatternsAreDecided runs patterns that take plain backtracking
// exponential or high polynomial time on subjects of 64 KiB.
func TestExponentialPatternsAreDecided(t *testing.T) {
	var m engine.Machine
	as := strings.Repeat("a", engine.MaxSubject)
	lines := strings.Repeat("key: value\r\n", engine.MaxSubject/12)
	for _, tt := range []struct {
		pattern, flags, subject string
		want                    engine.Result
	}{
		{`^(a+)+$`, "", as[1:] + "b", engine.NoMatch},
		{`^(a+)+$`, "", as, engine.Match},
		{`^(a|aa)+$`, "", as[1:] + "b", engine.NoMatch},
		{`^(?:a*)*b`, "", as, engine.NoMatch},
		{`^(a*)*b`, "", as, engine.NoMatch},
		{`^(?:a?a?a?)+b`, "", as[:1<<14], engine.NoMatch},
		{`^(?:(?:a+)+)+$`, "", as[1:] + "b", engine.NoMatch},
		{`^(?:a+?)+?$`, "", as[1:] + "b", engine.NoMatch},
		{`(?:x+x+)+y`, "", strings.Repeat("x", engine.MaxSubject), engine.NoMatch},
		{`^.*a.*a.*a.*b$`, "s", as, engine.NoMatch},
		{`^.*?a.*?a.*?a.*?b`, "s", as, engine.NoMatch},
		{`^(?:[^\r\n]*\r\n(?!\r\n))*?none`, "", lines, engine.NoMatch},
		{`^(?:(?:[^\r\n]*\r\n(?!\r\n))*?)*none`, "", lines, engine.NoMatch},
		{`^(?:(?!none).)*none`, "s", as, engine.NoMatch},
		{`^(?:(?=(a+)+)a)*b`, "", as[:512], engine.NoMatch},
		{`^(?:(?>a*?a)|a)*b`, "", as, engine.NoMatch},
		{`[^a]+\W*b(?!x)`, "", strings.Repeat("-", 1<<14) + "bx", engine.NoMatch},
		{`[^a]++\W*+b(?!x)`, "", strings.Repeat("-", 1<<14) + "bx", engine.NoMatch},
	} {
		p := compile(t, tt.pattern, tt.flags)
		got, steps := m.Search(p, []byte(tt.subject))
		if got != tt.want || steps > engine.MaxSteps+engine.MaxSteps/2+8192 {
			t.Errorf("%q on %d bytes: result %v after %d steps, want %v",
				tt.pattern, len(tt.subject), got, steps, tt.want)
		}
	}
}

// TestLimitsAreReported runs what cannot be bounded otherwise into the limits.
func TestLimitsAreReported(t *testing.T) {
	var m engine.Machine
	as := []byte(strings.Repeat("a", 4096))
	for _, pattern := range []string{
		`^(a*)*\1b`,                    // no visited bits with back-references
		`^(?:(a+)+)+\1\1c`,             // the same
		`(?:.*.*.*.*.*.*){100}.*\1(b)`, // many frames
		`^.*(?:a{0,400}b?){2}c`,        // many positions at once
	} {
		got, steps := m.Search(compile(t, pattern, "s"), as)
		if got != engine.Undecided {
			t.Errorf("%q: result %v after %d steps, want Undecided", pattern, got, steps)
		}
		if steps > engine.MaxSteps+2*engine.MaxSubject {
			t.Errorf("%q: %d steps, limit %d", pattern, steps, engine.MaxSteps)
		}
	}
	// The same machine still works.
	if got, _ := m.Search(compile(t, `a(b)`, ""), []byte("xab")); got != engine.Match {
		t.Errorf("after a limit: result %v, want Match", got)
	}
}

// TestTooLarge demands that unrolling stops early, also where it yields no
// instructions at all.
func TestTooLarge(t *testing.T) {
	for _, pattern := range []string{
		`(?:(?:(?:ab){1000}){1000}){1000}`,
		`(?:(?:(?:(?:){60000}){60000}){60000}){60000}a`,
		`(?:(?:ab){0,60000}){0,60000}c`,
	} {
		re, err := syntax.Parse(pattern, syntax.Flags{})
		if err != nil {
			t.Fatal(err)
		}
		var c engine.Compiler
		if _, err := c.Compile(re); !errors.Is(err, engine.ErrTooLarge) {
			t.Errorf("Compile(%q) = %v, want ErrTooLarge", pattern, err)
		}
	}
}

// TestLongSubject demands that only MaxSubject bytes are read.
func TestLongSubject(t *testing.T) {
	var m engine.Machine
	b := []byte(strings.Repeat("a", engine.MaxSubject) + "b")
	if got, _ := m.Search(compile(t, `ab`, ""), b); got != engine.NoMatch {
		t.Errorf("result %v, want NoMatch", got)
	}
	if got, _ := m.Search(compile(t, `a$`, ""), b); got != engine.Match {
		t.Errorf("result %v, want Match", got)
	}
}

func TestSearchDoesNotAllocate(t *testing.T) {
	var m engine.Machine
	p := compile(t, `^(?:(a+)|(?>b+)(?=c))+$`, "")
	b := []byte(strings.Repeat("aab", 2000))
	m.Search(p, b)
	if n := testing.AllocsPerRun(10, func() { m.Search(p, b) }); n != 0 {
		t.Errorf("%v allocations in a search", n)
	}
}

func BenchmarkSearch(b *testing.B) {
	headers := strings.Repeat("X-Header: value of it\r\n", 40) + "Server: Apache/2.4.1\r\n\r\n"
	for name, tt := range map[string]struct{ pattern, subject string }{
		"literal":  {`^SSH-2\.0-OpenSSH_([\w.]+)`, "SSH-2.0-OpenSSH_9.2p1 Debian\r\n"},
		"headers":  {`^HTTP/1\.[01] \d\d\d.*\r\nServer: Apache/([\d.]+)`, "HTTP/1.1 200 OK\r\n" + headers},
		"skipping": {`^HTTP/1\.[01] \d\d\d(?:[^\r\n]*\r\n(?!\r\n))*?Server: Apache/([\d.]+)`, "HTTP/1.1 200 OK\r\n" + headers},
	} {
		re, err := syntax.Parse(tt.pattern, syntax.Flags{DotAll: true})
		if err != nil {
			b.Fatal(err)
		}
		var c engine.Compiler
		p, err := c.Compile(re)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			var m engine.Machine
			b.SetBytes(int64(len(tt.subject)))
			for b.Loop() {
				m.Search(p, []byte(tt.subject))
			}
		})
	}
}
