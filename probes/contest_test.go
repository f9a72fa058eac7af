package probes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestContests: lines that match an example of another, in its own list or
// further down its chain, are told with the line that wins.
func TestContests(t *testing.T) {
	db, err := Load(Source{Name: "x.probes", Data: []byte(`Probe TCP NULL q||
# id: any
softmatch s m|^S|
Probe TCP Ask q|a|
# id: exact
match s m|^SERVER 1| p/One/
# id: form
match s m|^SERVER (\d)| p/Form/ v/$1/
# id: alone
match t m|^T|
`)})
	if err != nil {
		t.Fatal(err)
	}
	examples := []Example{
		{Transport: TCP, Probe: "Ask", Answer: []byte("SERVER 1")},
		{Transport: TCP, Probe: "Ask", Answer: []byte("SERVER 2")},
		{Transport: TCP, Probe: "Ask", Answer: []byte("SERVER 1.5")},
		{Transport: TCP, Probe: "Ask", Answer: []byte("T")},
		{Transport: TCP, Probe: "NULL", Answer: []byte("S")},
		{Transport: TCP, Probe: "NULL", Answer: []byte("nothing")},
		{Transport: UDP, Probe: "Gone", Answer: []byte("S")},
	}
	type row struct {
		Winner, Other string
		Examples      int
		Next          int
	}
	var got []row
	for _, o := range Contests(db, examples) {
		got = append(got, row{o.Winner.Name(), o.Other.Name(), len(o.Examples), o.Next})
	}
	want := []row{{"exact", "form", 2, 2}, {"exact", "any", 2, 0}, {"form", "any", 1, 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
