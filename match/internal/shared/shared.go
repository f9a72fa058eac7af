// Package shared finds the recorded answers and the peer's probe file that
// some tests compare with. Both lie outside the module and may be absent; a
// test that needs them is then skipped by name.
package shared

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// An Answer is one recorded answer.
type Answer struct {
	ID        string `json:"id"`
	Transport string `json:"transport"`
	Probe     string `json:"probe"`
	Data      []byte `json:"data"`
}

// Path gives the place of a shared file, or skips the test. The directory is
// SONDE_SHARED, or "shared" beside the module.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv("SONDE_SHARED")
	if dir == "" {
		dir = filepath.Join(moduleRoot(tb), "..", "shared")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("skipped: %s is absent (SONDE_SHARED names its directory)", name)
	}
	return path
}

func moduleRoot(tb testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}

// Answers reads the recorded answers.
func Answers(tb testing.TB) []Answer {
	tb.Helper()
	f, err := os.Open(Path(tb, filepath.Join("corpus", "train.jsonl.gz")))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var answers []Answer
	for dec := json.NewDecoder(bufio.NewReader(z)); dec.More(); {
		var a Answer
		if err := dec.Decode(&a); err != nil {
			tb.Fatal(err)
		}
		answers = append(answers, a)
	}
	return answers
}
