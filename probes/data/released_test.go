package data_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"sonde/probes"
)

// releasedIDs lists the ids of all lines that a release had. Events name them
// and configurations switch them off, so none may go or change its meaning.
const releasedIDs = "testdata/released.ids"

var release = flag.Bool("release", false, "add all present ids to "+releasedIDs)

// TestReleasedIDs: a line that a release had is still there by its id, and no
// line is without one.
func TestReleasedIDs(t *testing.T) {
	db, _ := load(t)
	present := map[string]bool{}
	for r := range db.Rules() {
		if r.ID == "" {
			t.Errorf("%v: the line has no id", r.Pos)
			continue
		}
		present[r.ID] = true
	}
	data, err := os.ReadFile(releasedIDs)
	if err != nil && !*release {
		t.Fatal(err)
	}
	released := strings.Fields(string(data))
	if *release {
		for id := range present {
			released = append(released, id)
		}
		slices.Sort(released)
		text := strings.Join(slices.Compact(released), "\n") + "\n"
		if err := os.WriteFile(releasedIDs, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(released) == 0 || !slices.IsSorted(released) {
		t.Errorf("%s is empty or not in order", releasedIDs)
	}
	for _, id := range released {
		if !present[id] {
			t.Errorf("the released line %s is gone", id)
		}
	}
}

// nmapLine is the longest line that nmap reads whole, its line feed included.
const nmapLine = 2047

// TestNmapHoldsLines: the database as one file has no line that nmap would
// read in two.
func TestNmapHoldsLines(t *testing.T) {
	sources, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	f, err := probes.Merge(sources...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if len(line) > nmapLine {
			t.Errorf("%d bytes: %.80s", len(line), line)
		}
	}
}
