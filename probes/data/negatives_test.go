package data_test

import (
	"os"
	"testing"

	"sonde/match"
	"sonde/probes"
)

// TestUnclaimed holds the database to silence: no answer of
// unclaimed.negatives may give a product, a version, an operating system, a
// kind of device or a CPE name, nor a service other than its own.
func TestUnclaimed(t *testing.T) {
	db, _ := load(t)
	const name = "unclaimed.negatives"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := probes.ParseExamples(name, text)
	if err != nil {
		t.Fatal(err)
	}
	sc := match.NewScratch()
	for i := range list {
		e := &list[i]
		got := db.Lookup(e.Transport, e.Probe).Search().Match(sc, e.Answer)
		id := got.Identity
		if got.Rule == nil {
			continue
		}
		if id.Product != "" || id.Version != "" || id.OS != "" || id.Device != "" || len(id.CPE) > 0 {
			t.Errorf("%v: %s: %s claims %+v", e.Pos, e.Source, got.Rule.Name(), id)
		}
		if id.Service != e.Want.Service {
			t.Errorf("%v: %s: %s gives service %q, want %q", e.Pos, e.Source, got.Rule.Name(), id.Service, e.Want.Service)
		}
	}
}
