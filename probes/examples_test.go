package probes

import (
	"errors"
	"path"
	"strings"
	"testing"

	"sonde/probes/grammar"
)

// TestExamples holds the built-in database to its word: its files load
// without a complaint of any kind, every line has an example, and every
// example hits its line, with its fields, in the whole database. It has one
// subtest for each family of files.
func TestExamples(t *testing.T) {
	sources, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	complaints := map[string][]string{}
	complain := func(file, text string) {
		family := strings.TrimSuffix(file, path.Ext(file))
		complaints[family] = append(complaints[family], text)
	}
	db, _ := Load(sources...) // Lint tells what is wrong
	for _, p := range Lint(sources...) {
		complain(p.Pos.File, string(p.Class)+": "+p.Error())
	}
	examples, err := BuiltinExamples()
	if err != nil {
		for _, one := range flatten(err) {
			var list grammar.Errors
			if !errors.As(one, &list) {
				t.Fatal(one)
			}
			for _, e := range list {
				complain(e.Pos.File, e.Error())
			}
		}
	}
	for _, f := range RunExamples(db, examples) {
		complain(f.Example.Pos.File, f.String())
	}
	for _, r := range WithoutExample(db, examples) {
		complain(r.Pos.File, r.Pos.String()+": "+r.Name()+" has no example")
	}
	for _, s := range sources {
		family := strings.TrimSuffix(s.Name, path.Ext(s.Name))
		t.Run(family, func(t *testing.T) {
			for _, text := range complaints[family] {
				t.Error(text)
			}
		})
		delete(complaints, family)
	}
	for family, list := range complaints {
		t.Errorf("%s: examples without probe file:\n%s", family, strings.Join(list, "\n"))
	}
}
