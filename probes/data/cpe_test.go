package data_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	// cpeNames lists the names that were found in the dictionary, each with where.
	cpeNames = "testdata/cpe-names.txt"
	// cpeUnconfirmed lists those that were not, each with a word of reason.
	cpeUnconfirmed = "testdata/cpe-unconfirmed.txt"
	// maxUnconfirmed is how many of the latter there may be: it only goes down.
	maxUnconfirmed = 98
)

// cpeName takes part, vendor and product out of a template.
var cpeName = regexp.MustCompile(`^cpe:/([aoh]):([^:]+):([^:]+)`)

// TestCPENames: a lookup of vulnerabilities finds nothing under a name that the
// dictionary of the NVD does not have, so every name was looked up there, or is
// listed as one that was not found.
func TestCPENames(t *testing.T) {
	used := usedNames(t)
	confirmed, unconfirmed := readNames(t, cpeNames), readNames(t, cpeUnconfirmed)
	for _, name := range slices.Sorted(maps.Keys(used)) {
		switch {
		case confirmed[name] != "" && unconfirmed[name] != "":
			t.Errorf("%s is both in %s and in %s", name, cpeNames, cpeUnconfirmed)
		case confirmed[name] == "" && unconfirmed[name] == "":
			t.Errorf("%s (%s) is neither in %s nor in %s", name, used[name], cpeNames, cpeUnconfirmed)
		case unconfirmed[name] != "":
			t.Logf("unconfirmed: %s (%s): %s", name, used[name], unconfirmed[name])
		}
	}
	for path, names := range map[string]map[string]string{cpeNames: confirmed, cpeUnconfirmed: unconfirmed} {
		for name := range names {
			if used[name] == "" {
				t.Errorf("%s lists %s, which no line gives any more", path, name)
			}
		}
	}
	if len(unconfirmed) > maxUnconfirmed {
		t.Errorf("%d names are unconfirmed, at most %d may be", len(unconfirmed), maxUnconfirmed)
	}
	t.Logf("%d names, %d of them confirmed, %d not", len(used), len(confirmed), len(unconfirmed))
}

// usedNames returns the part:vendor:product of all lines, each with the id of
// one of them. A product that is taken from the answer is a *: only its vendor
// can be looked up.
func usedNames(t *testing.T) map[string]string {
	t.Helper()
	db, _ := load(t)
	used := map[string]string{}
	for r := range db.Rules() {
		for _, cpe := range r.Fields.CPE {
			m := cpeName.FindStringSubmatch("cpe:/" + cpe.Text)
			if m == nil || strings.Contains(m[2], "$") {
				t.Errorf("%v: %s: %q has no part, vendor and product", r.Pos, r.ID, cpe.Text)
				continue
			}
			if strings.Contains(m[3], "$") {
				m[3] = "*"
			}
			used[m[1]+":"+m[2]+":"+m[3]] = r.ID
		}
	}
	return used
}

// readNames reads lines of a name and, after a blank, where it was found or why
// it was not. A line that begins with # is a comment.
func readNames(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, note, _ := strings.Cut(line, " ")
		if note = strings.TrimSpace(note); note == "" || names[name] != "" {
			t.Errorf("%s:%d: %s has no note, or stands there twice", path, i+1, name)
		}
		names[name] = note
	}
	return names
}
