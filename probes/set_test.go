package probes_test

import (
	"testing"

	"sonde/probes"
)

// TestSetHash: other lines are no other probes; another payload, port or rarity is.
func TestSetHash(t *testing.T) {
	hash := func(text string) string {
		t.Helper()
		db, err := probes.Load(probes.Source{Name: "a.probes", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return db.SetHash()
	}
	const one = "Probe TCP A q|x|\nports 80\nrarity 3\n# id: a.b\nmatch http m|^y|\n"
	was := hash(one)
	for text, same := range map[string]bool{
		one: true,
		"Probe TCP A q|x|\nports 80\nrarity 3\n# id: a.c\nmatch http m|^z|\n":    true,
		"Probe TCP A q|xx|\nports 80\nrarity 3\n# id: a.b\nmatch http m|^y|\n":   false,
		"Probe TCP A q|x|\nports 80,81\nrarity 3\n# id: a.b\nmatch http m|^y|\n": false,
		"Probe TCP A q|x|\nports 80\nrarity 4\n# id: a.b\nmatch http m|^y|\n":    false,
	} {
		if got := hash(text) == was; got != same {
			t.Errorf("%q: the same set is %t, want %t", text, got, same)
		}
	}
}
