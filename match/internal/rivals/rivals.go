// Package rivals lets benchmarks measure, on the same answers and in the same
// run, how long PCRE2 takes line by line, and Hyperscan for all lines at once.
//
// Both run in a child process, a C program that is built in the test's own
// directory; the product never sees them.
package rivals

import (
	"bufio"
	_ "embed"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sonde/match/internal/shared"
)

//go:embed testdata/rivals.c
var source []byte

// An Engine is one of the rivals.
type Engine int32

// The engines.
const (
	PCRE2     Engine = iota // the interpreter, line by line: what nmap does
	PCRE2JIT                // line by line
	Hyperscan               // ids only, no groups
)

// Rivals is the running child. It belongs to one goroutine.
type Rivals struct {
	tb    testing.TB
	in    *bufio.Writer
	out   *bufio.Reader
	lists int
	count int // answers

	// What compiling all lists took.
	CompilePCRE2, CompileJIT, CompileHyperscan time.Duration
	HyperscanKiB                               int
	Missing                                    int // lines that Hyperscan cannot take
}

// Start builds and runs the child, or skips the test with the reason.
func Start(tb testing.TB) *Rivals {
	tb.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		tb.Skip("skipped: gcc is not installed, so there is nothing to compare with")
	}
	dir := tb.TempDir()
	src, bin := filepath.Join(dir, "rivals.c"), filepath.Join(dir, "rivals")
	if err := os.WriteFile(src, source, 0o600); err != nil {
		tb.Fatal(err)
	}
	text, err := exec.Command(gcc, "-O2", "-o", bin, src, "-lpcre2-8", "-lhs").CombinedOutput()
	if err != nil {
		if s := string(text); strings.Contains(s, "pcre2") || strings.Contains(s, "hs") {
			tb.Skipf("skipped: libpcre2-dev or libhyperscan-dev is not installed:\n%s", s)
		}
		tb.Fatalf("build rivals: %v\n%s", err, text)
	}
	cmd := exec.Command(bin)
	cmd.Stderr = os.Stderr
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
			tb.Errorf("rivals: %v", err)
		}
	})
	return &Rivals{tb: tb, in: bufio.NewWriterSize(stdin, 1<<16), out: bufio.NewReaderSize(stdout, 1<<16)}
}

// List compiles the lines of one probe and gives the number to name it by.
func (r *Rivals) List(lines []shared.Line) int {
	r.in.WriteByte('L')
	r.put(len(lines))
	for _, l := range lines {
		options := 0
		if l.IgnoreCase {
			options |= 1
		}
		if l.DotAll {
			options |= 2
		}
		r.put(options, len(l.Pattern))
		r.in.WriteString(l.Pattern)
	}
	r.flush()
	for _, d := range []*time.Duration{&r.CompilePCRE2, &r.CompileJIT, &r.CompileHyperscan} {
		*d += time.Duration(r.get()) * time.Millisecond
	}
	r.HyperscanKiB += r.get()
	r.Missing += r.get()
	r.lists++
	return r.lists - 1
}

// Answer adds an answer and the lists that are searched for it.
func (r *Rivals) Answer(lists []int, data []byte) {
	r.in.WriteByte('A')
	r.put(len(lists))
	r.put(lists...)
	r.put(len(data))
	r.in.Write(data)
	r.count++
}

// Clear forgets the answers.
func (r *Rivals) Clear() {
	r.in.WriteByte('C')
	r.count = 0
}

// A Search is what one engine did with one answer: the places of the list and
// of the line in it, -1 for a miss.
type Search struct {
	Time       time.Duration
	List, Line int
}

// Run searches each answer once.
func (r *Rivals) Run(e Engine) []Search {
	r.in.WriteByte('R')
	r.put(int(e))
	r.flush()
	searches := make([]Search, r.count)
	for i := range searches {
		took := time.Duration(r.get())*time.Second + time.Duration(r.get())
		searches[i] = Search{took, r.get(), r.get()}
	}
	return searches
}

func (r *Rivals) put(values ...int) {
	for _, v := range values {
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(v))
		r.in.Write(b[:])
	}
}

func (r *Rivals) flush() {
	if err := r.in.Flush(); err != nil {
		r.tb.Fatalf("rivals: %v", err)
	}
}

func (r *Rivals) get() int {
	var b [4]byte
	if _, err := io.ReadFull(r.out, b[:]); err != nil {
		r.tb.Fatalf("rivals: read their answer: %v", err)
	}
	return int(int32(binary.NativeEndian.Uint32(b[:])))
}
