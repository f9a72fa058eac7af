package data_test

import (
	"bufio"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// coincidences lists our lines whose patterns say the same as a line of
// nmap's, each group below the reason why the answer leaves no other form.
const coincidences = "testdata/coincidences.txt"

// TestNoCopies compares the form of each of our patterns with that of each
// line of nmap's file. A form is what is left of a pattern when groups, classes,
// repeats, line ends and the case of letters are taken away, so that a copy that
// was dressed up is found too. Those that coincide must be listed with a
// reason; what is listed must still coincide, where both of nmap's files are
// there, the current one and Debian's.
func TestNoCopies(t *testing.T) {
	theirs, whole := map[string]bool{}, true
	for _, path := range peerFiles() {
		data, err := os.ReadFile(path)
		if err != nil {
			whole = false
			continue
		}
		for _, pattern := range patterns(data) {
			theirs[form(pattern)] = true
		}
	}
	if len(theirs) == 0 {
		t.Skip("nmap's file is neither in ../shared/peer nor installed")
	}
	t.Logf("%d forms of nmap's", len(theirs))
	db, _ := load(t)
	found := map[string]string{}
	for r := range db.Rules() {
		if f := form(r.Pattern); theirs[f] {
			found[r.ID] = r.Pattern
		}
	}
	listed := readCoincidences(t)
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if listed[id] == "" {
			t.Errorf("%s has the form of a line of nmap's and no reason in %s: %s", id, coincidences, found[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(listed)) {
		if found[id] == "" && whole {
			t.Errorf("%s lists %s, which coincides with no line of nmap's any more", coincidences, id)
		}
	}
	t.Logf("%d of our lines coincide with one of nmap's; %s has the reason of each", len(found), coincidences)
}

// TestCoincidencesAreOurs: what is listed is a line of ours.
func TestCoincidencesAreOurs(t *testing.T) {
	db, _ := load(t)
	rules := rulesByName(db)
	for id := range readCoincidences(t) {
		if rules[id] == nil {
			t.Errorf("%s lists %s, which is no line of ours", coincidences, id)
		}
	}
}

// peerFiles are the places of nmap's file: beside this project, and Debian's.
func peerFiles() []string {
	shared := os.Getenv("SONDE_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	return []string{
		filepath.Join(shared, "peer", "nmap-service-probes"),
		"/usr/share/nmap/nmap-service-probes",
	}
}

// patterns gives the patterns of a probe file's match and softmatch lines.
func patterns(file []byte) (list []string) {
	sc := bufio.NewScanner(bytes.NewReader(file))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := strings.TrimPrefix(sc.Text(), "soft")
		rest, ok := strings.CutPrefix(line, "match ")
		if !ok {
			continue
		}
		_, rest, _ = strings.Cut(rest, " m")
		if len(rest) < 2 {
			continue
		}
		pattern, _, _ := strings.Cut(rest[1:], rest[:1])
		list = append(list, pattern)
	}
	return list
}

var (
	lineEnds = strings.NewReplacer(`\r?\n`, "", `\r\n`, "", `\n`, "", `\r`, "")
	opening  = regexp.MustCompile(`\(\?[:i=!>-]*`)
	class    = regexp.MustCompile(`\[(?:\\.|[^\]\\])*\]` + repeat)
	escape   = regexp.MustCompile(`\\[dwsSDW]` + repeat)
	anything = regexp.MustCompile(`(^|[^\\])\.(?:[*+?]\??|\{[\d,]+\}\??)`)
	marks    = regexp.MustCompile(`(^|[^\\])[()^$?]+`)
	gaps     = regexp.MustCompile("\x01+")
)

const repeat = `(?:[*+?]\??|\{[\d,]+\}\??)?`

// form gives what of a pattern are letters that a peer sent, with "\x01" where
// the answer may vary.
func form(pattern string) string {
	s := lineEnds.Replace(pattern)
	s = opening.ReplaceAllString(s, "(")
	s = class.ReplaceAllString(s, "\x01")
	s = escape.ReplaceAllString(s, "\x01")
	s = anything.ReplaceAllString(s, "${1}\x01")
	s = marks.ReplaceAllString(s, "$1")
	s = strings.ReplaceAll(s, `\`, "")
	return strings.ToLower(strings.Trim(gaps.ReplaceAllString(s, "\x01"), "\x01 "))
}

// readCoincidences gives the reason of each line that may coincide. A reason
// is a comment; the ids below it, up to a blank line, are those that have it.
func readCoincidences(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(coincidences)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	var reason string
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case line == "":
			reason = ""
		case strings.HasPrefix(line, "#"):
			reason += strings.TrimSpace(line[1:]) + " "
		case reason == "" || reasons[line] != "":
			t.Errorf("%s:%d: %s has no reason, or two", coincidences, i+1, line)
		default:
			reasons[line] = reason
		}
	}
	return reasons
}
