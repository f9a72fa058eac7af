package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// checkPlaces verifies that each key of a decoded document has a place, and
// that the text at that place begins like a key, a header or a value.
func checkPlaces(t *testing.T, lines []string, path string, x any, p *place) {
	t.Helper()
	if p == nil || p.line < 1 || p.line > len(lines) || p.col < 1 || p.col > len(lines[p.line-1])+1 {
		t.Fatalf("%s has no place, or one outside of the text: %+v", path, p)
	}
	switch x := x.(type) {
	case map[string]any:
		for name, y := range x {
			k := p.keys[name]
			if k == nil {
				t.Fatalf("%s.%q is not found", path, name)
			}
			checkPlaces(t, lines, path+"."+name, y, k)
		}
	case []map[string]any:
		if len(p.items) != len(x) {
			t.Fatalf("%s: %d places for %d tables", path, len(p.items), len(x))
		}
		for i, y := range x {
			checkPlaces(t, lines, path+"[]", y, p.items[i])
		}
	case []any:
		if len(p.items) != len(x) {
			t.Fatalf("%s: %d places for %d elements", path, len(p.items), len(x))
		}
		for i, y := range x {
			checkPlaces(t, lines, path+"[]", y, p.items[i])
		}
	}
}

func TestPlaces(t *testing.T) {
	const text = "\xef\xbb\xbf# c\r\na.b = 1 # x\n'q.r' = [ 'x', [1, 2],\n  { k = \"]\", l.m = 3 } ]\n" +
		"[[w]]\n  n = '''\n]'''''\n[w.sub]\nd = 1979-05-27 07:32:00\n[[w]]\n\"\\u006e\" = \"\"\"a\\\"\"\"\"\n[ z . y ]\n"
	p := places(text)
	for _, tt := range []struct {
		got       *place
		line, col int
	}{
		{p.key("a").key("b"), 2, 1},
		{p.key("q.r"), 3, 1},
		{p.key("q.r").item(0), 3, 11},
		{p.key("q.r").item(1).item(1), 3, 20},
		{p.key("q.r").item(2).key("k"), 4, 5},
		{p.key("q.r").item(2).key("l").key("m"), 4, 14},
		{p.key("w").item(0), 5, 1},
		{p.key("w").item(0).key("n"), 6, 3},
		{p.key("w").item(0).key("sub").key("d"), 9, 1},
		{p.key("w").item(1).key("n"), 11, 1},
		{p.key("z").key("y"), 12, 1},
		{p.key("z").key("none"), 12, 1},
		{p.key("q.r").item(9), 3, 1},
	} {
		if tt.got.line != tt.line || tt.got.col != tt.col {
			t.Errorf("place %d:%d, want %d:%d", tt.got.line, tt.got.col, tt.line, tt.col)
		}
	}
}

// The library is the oracle: of each text that it accepts, every key and
// element is found.
func FuzzPlaces(f *testing.F) {
	f.Add(string(Reference))
	f.Add(mistakes)
	for _, s := range []string{
		"a=1", "a.b.c=[1,[2,3],{x='y'}]\n", "[[a]]\n[[a.b]]\nc=1\n[[a]]\n[a.b]\n", "a=\"\"\"\n\"\"\"\"\"\n", "a='''x'''''\n",
		"\"a\\\"b\" = '\\'\n", "a = { b = { c = [ ] } , d = 1 }\n[x.'y.z']\n", "a=1e3 # [\nb=-inf\n", "a=[\n#]\n1,\n]\n", "\xef\xbb\xbfa=1",
		"a={\n b=1, # c\n}\n", "'' = 1\n\"\".x=2\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := places(s) // must end, whatever the text
		var m map[string]any
		if _, err := toml.Decode(s, &m); err != nil {
			return
		}
		if strings.HasPrefix(s, "\xff\xfe") || strings.HasPrefix(s, "\xfe\xff") {
			return // the library passes over half of a mark of UTF-16
		}
		checkPlaces(t, strings.Split(s, "\n"), "", m, p)
	})
}

// Parse never panics, gives a Config or Errors, and a Config that it accepts
// keeps its own rules.
func FuzzParse(f *testing.F) {
	f.Add(Reference, []byte("10.0.0.0/8 # x\n"))
	f.Add([]byte(mistakes), []byte("x\n"))
	f.Add([]byte("watch = [{name='a', targets=['10.0.0.1']}]"), []byte(""))
	f.Add([]byte("watch = [1]\nsensor=[]\n"), []byte("::/0"))
	f.Add([]byte("[watch]\nname='a'"), []byte("\x00"))
	f.Fuzz(func(t *testing.T, file, list []byte) {
		c, err := Parse([]Source{{"a", file}}, []Source{{"b", list}})
		if err != nil {
			es, ok := errors.AsType[Errors](err)
			if !ok || len(es) == 0 || c != nil {
				t.Fatalf("error is %T %v with %v", err, err, c)
			}
			for _, e := range es {
				if e.Reason == "" || e.File == "" || e.Line < 0 || (e.Line > 0 && e.Col < 1) {
					t.Fatalf("incomplete mistake %+v", e)
				}
			}
			return
		}
		for i := range c.Watches {
			w := &c.Watches[i]
			if err := CheckTargets(w.Targets, w.IAmAuthorised); err != nil || w.Name == "" {
				t.Fatalf("accepted watch %q: %v", w.Name, err)
			}
			s := c.Scope(w)
			if s.Len() > 0 && c.WatchFor(w.Zone, s.At(0)) != w {
				t.Fatalf("%s does not belong to %q", s.At(0), w.Name)
			}
		}
	})
}
