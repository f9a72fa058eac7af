// Package pcretest lets tests ask the real PCRE2 what a pattern means.
//
// PCRE2 runs in a child process, a small C program that is built in the test's
// own directory; the product never sees it. Its limits on time and memory are
// lifted: what it says is what the pattern means.
package pcretest

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed testdata/oracle.c
var source []byte

// An Oracle is one running child. It belongs to one goroutine.
type Oracle struct {
	// Plain switches two optimisations of PCRE2 off for the patterns compiled
	// from then on. In 10.42 they lose matches, such as that of
	// b+(?>\W\Z)?+\S\W in "bb\xff", and of ((?>(?:[ab]){2,})++c|b\1*)a in "ba".
	Plain bool

	tb    testing.TB
	in    *bufio.Writer
	out   *bufio.Reader
	count int
}

// A Pattern is what PCRE2 says of a pattern.
type Pattern struct {
	Number       int // for First and All
	Error        int // PCRE2's error code, 0 if it compiles
	Offset       int // where the error is
	MatchesEmpty bool
	Groups       int
}

// PCRE2's return codes for a miss and for its match limit.
const (
	errNoMatch    = -1
	errMatchLimit = -47
)

// Groups are start and end of the groups of a match, -1 where unset; those
// behind the last set one are left out. Nil is no match.
type Groups []int32

// Start builds and runs the oracle, or skips the test with the reason.
func Start(tb testing.TB) *Oracle {
	tb.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		tb.Skip("skipped: gcc is not installed, so there is no PCRE2 to compare with")
	}
	dir := tb.TempDir()
	src, bin := filepath.Join(dir, "oracle.c"), filepath.Join(dir, "oracle")
	if err := os.WriteFile(src, source, 0o600); err != nil {
		tb.Fatal(err)
	}
	build := exec.Command(gcc, "-O2", "-o", bin, src, "-lpcre2-8")
	if text, err := build.CombinedOutput(); err != nil {
		if bytes.Contains(text, []byte("pcre2")) {
			tb.Skip("skipped: PCRE2's header or library (libpcre2-dev) is not installed")
		}
		tb.Fatalf("build oracle: %v\n%s", err, text)
	}
	return run(tb, exec.Command(bin))
}

func run(tb testing.TB, cmd *exec.Cmd) *Oracle {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("oracle: %v", err)
		}
	})
	return &Oracle{tb: tb, in: bufio.NewWriterSize(stdin, 1<<16), out: bufio.NewReaderSize(stdout, 1<<16)}
}

// Compile gives PCRE2's view of a pattern.
func (o *Oracle) Compile(pattern string, ignoreCase, dotAll bool) Pattern {
	options := int32(0)
	if ignoreCase {
		options |= 1
	}
	if dotAll {
		options |= 2
	}
	if o.Plain {
		options |= 4
	}
	o.in.WriteByte('P')
	o.put(options, int32(len(pattern)))
	o.in.WriteString(pattern)
	o.flush()
	p := Pattern{Number: o.count, Error: int(o.get()), Offset: int(o.get())}
	p.MatchesEmpty = o.get() != 0
	p.Groups = int(o.get())
	o.count++
	return p
}

// Subject sets what First and All search in.
func (o *Oracle) Subject(b []byte) {
	o.in.WriteByte('S')
	o.put(int32(len(b)))
	o.in.Write(b)
}

// Limit sets PCRE2's match limit, for patterns that nobody would write.
func (o *Oracle) Limit(n int32) {
	o.in.WriteByte('L')
	o.put(n)
}

// GaveUp is what All gives where PCRE2 reached the match limit.
var GaveUp = Groups{-1}

// First gives the place in the list of the first pattern that matches, or -1.
func (o *Oracle) First(numbers []int32) (int, Groups) {
	o.in.WriteByte('F')
	o.put(int32(len(numbers)))
	o.put(numbers...)
	o.flush()
	at := int(o.get())
	return at, o.groups()
}

// All gives the groups for each pattern of the list, nil where it does not
// match. A return code that is neither hit nor miss fails the test.
func (o *Oracle) All(numbers []int32) []Groups {
	o.in.WriteByte('A')
	o.put(int32(len(numbers)))
	o.put(numbers...)
	o.flush()
	all := make([]Groups, len(numbers))
	for i := range all {
		rc := o.get()
		all[i] = o.groups()
		switch {
		case rc == errMatchLimit:
			all[i] = GaveUp
		case rc < errNoMatch:
			o.tb.Errorf("PCRE2 failed on pattern %d with code %d", numbers[i], rc)
		}
	}
	return all
}

func (o *Oracle) groups() Groups {
	n := o.get()
	if n == 0 {
		return nil
	}
	g := make(Groups, 2*n)
	for i := range g {
		g[i] = o.get()
	}
	return g
}

func (o *Oracle) put(values ...int32) {
	for _, v := range values {
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(v))
		o.in.Write(b[:])
	}
}

func (o *Oracle) flush() {
	if err := o.in.Flush(); err != nil {
		o.tb.Fatalf("oracle: %v", err)
	}
}

func (o *Oracle) get() int32 {
	var b [4]byte
	if _, err := io.ReadFull(o.out, b[:]); err != nil {
		o.tb.Fatal(fmt.Errorf("oracle: read its answer: %w", err))
	}
	return int32(binary.NativeEndian.Uint32(b[:]))
}
