package data_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sonde/match"
	"sonde/probes"
)

// headerSkip is how a pattern says "in the header, whatever stands before".
const headerSkip = `[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*?`

// oneField tells of a rule that it rests on one header field alone, wherever
// that stands and whatever the status.
func oneField(r *match.Rule) bool {
	p := r.Pattern
	return strings.HasPrefix(p, `^HTTP/1\.[01] \d\d\d`+headerSkip) &&
		strings.Count(p, `(?:[^\r\n]+\r?\n)*?`) == 1 &&
		!strings.Contains(p, `.*?`) && !strings.Contains(p, `\r\n`)
}

// TestHeaderForms changes what a server's answer may change from one request,
// release or proxy to the next. The product must stay.
func TestHeaderForms(t *testing.T) {
	db, examples := load(t)
	rules := rulesByName(db)
	sc := match.NewScratch()
	for i := range examples {
		e := &examples[i]
		r := rules[e.Rule]
		if r == nil || e.Want.Product == "" || !oneField(r) {
			continue
		}
		search := db.Lookup(e.Transport, e.Probe).Search()
		for _, form := range headerForms {
			got := search.Match(sc, form.change(e.Answer))
			if got.Identity.Product != e.Want.Product || got.Identity.Version != e.Want.Version {
				t.Errorf("%v: %s, %s: got %q, want %q", e.Pos, e.Rule, form.name,
					got.Identity.String(), e.Want.String())
			}
		}
	}
}

var headerForms = []struct {
	name   string
	change func([]byte) []byte
}{
	{"status 200", status("200 OK")},
	{"status 301", status("301 Moved Permanently")},
	{"status 401", status("401 Unauthorized")},
	{"status 403", status("403 Forbidden")},
	{"status 404", status("404 Not Found")},
	{"status 500", status("500 Internal Server Error")},
	{"bare newlines", func(a []byte) []byte { return bytes.ReplaceAll(a, []byte("\r\n"), []byte("\n")) }},
	{"lower-case field names", fields(func(f [][]byte) {
		for i := range f {
			if name, rest, ok := bytes.Cut(f[i], []byte(":")); ok {
				f[i] = slices.Concat(bytes.ToLower(name), []byte(":"), rest)
			}
		}
	})},
	{"fields reversed", fields(func(f [][]byte) { slices.Reverse(f) })},
	{"a field more", func(a []byte) []byte {
		return bytes.Replace(a, []byte("\r\n"), []byte("\r\nX-Frob: 1\r\n"), 1)
	}},
}

// status gives an answer another status line.
func status(line string) func([]byte) []byte {
	return func(a []byte) []byte {
		return slices.Concat(a[:len("HTTP/1.1 ")], []byte(line), a[bytes.Index(a, []byte("\r\n")):])
	}
}

// fields changes the header fields of an answer.
func fields(change func([][]byte)) func([]byte) []byte {
	return func(a []byte) []byte {
		head, body, ok := bytes.Cut(a, []byte("\r\n\r\n"))
		if !ok {
			return a
		}
		lines := bytes.Split(head, []byte("\r\n"))
		change(lines[1:])
		return slices.Concat(bytes.Join(lines, []byte("\r\n")), []byte("\r\n\r\n"), body)
	}
}

var (
	nameField = regexp.MustCompile(`(?im)^(server|user-agent): [^\r\n]*`)
	firstWord = regexp.MustCompile(`(?im)^((?:server|user-agent): [A-Za-z_-]*[A-Za-z])([^A-Za-z])`)
)

// TestInventedServer puts an unknown name where the product's own stood, or
// lengthens it to another word. Rules that rest on that field must fall silent.
func TestInventedServer(t *testing.T) {
	db, examples := load(t)
	rules := rulesByName(db)
	sc := match.NewScratch()
	check := func(e *probes.Example, answer []byte) {
		got := db.Lookup(e.Transport, e.Probe).Search().Match(sc, answer)
		if got.Rule != nil && got.Identity.Product != "" && got.Rule.Name() == e.Rule {
			t.Errorf("%v: %s still claims %q for %.200q", e.Pos, e.Rule, got.Identity.String(), answer)
		}
	}
	for i := range examples {
		e := &examples[i]
		r := rules[e.Rule]
		if r == nil || e.Want.Product == "" || !strings.Contains(r.Pattern, `[Ss](?:erver|ERVER): `) {
			continue
		}
		check(e, nameField.ReplaceAll(e.Answer, []byte("${1}: Frobnicator/1.2 (Zorbix)")))
		if m := firstWord.FindSubmatch(e.Answer); m == nil || !isName(r, lastWord(m[1])) {
			continue // an operating system or the like stands before the name
		}
		if glued := firstWord.ReplaceAll(e.Answer, []byte("${1}oid${2}")); !bytes.Equal(glued, e.Answer) {
			check(e, glued)
		}
	}
}

// load gives the built-in database and its examples.
func load(t *testing.T) (*probes.Database, []probes.Example) {
	t.Helper()
	sources, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	examples, err := probes.BuiltinExamples()
	if err != nil {
		t.Fatal(err)
	}
	return db, examples
}

func rulesByName(db *probes.Database) map[string]*match.Rule {
	rules := make(map[string]*match.Rule)
	for r := range db.Rules() {
		rules[r.Name()] = r
	}
	return rules
}

// isName tells whether a rule asks for a word, letter by letter.
func isName(r *match.Rule, word string) bool {
	return len(word) > 2 && strings.Contains(r.Pattern, word)
}

// lastWord gives the last letters of a field's first word: "Foo" of
// "Server: Foo/1.0".
func lastWord(field []byte) string {
	return string(field[bytes.LastIndexAny(field, " -_")+1:])
}
