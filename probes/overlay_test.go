package probes

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const overlaidBase = `Probe TCP NULL q||
# id: base-greeting
match s m|^HELLO| p/Base/
Probe TCP Ask q|a|
rarity 3
ports 7
# id: base-answer
match s m|^ANSWER| p/Base/
`

// rulesByProbe lists the rules of a database by probe: "probe: id id".
func rulesByProbe(db *Database) []string {
	var out []string
	for p := range db.Probes() {
		line := p.Name + ":"
		for r := range p.Rules() {
			line += " " + r.Name()
		}
		out = append(out, line)
	}
	return out
}

// TestOverlay: the lines of overlays come first in each probe, in the order of
// the overlays; their probes come last, and settings of the base stay.
func TestOverlay(t *testing.T) {
	first := Source{Name: "10-a.probes", Overlay: true, Data: []byte(`Probe TCP Mine q|m|
# id: mine
match s m|^MINE|
Probe TCP Ask q|a|
rarity 9
ports 8
# id: a-answer
match s m|^ANSWER| p/A/
`)}
	second := Source{Name: "20-b.probes", Overlay: true, Data: []byte(`Probe TCP NULL q||
# id: b-greeting
match s m|^HELLO| p/B/
Probe TCP Ask q|a|
# id: b-answer
match s m|^ANSWER| p/B/
`)}
	base := Source{Name: "base.probes", Data: []byte(overlaidBase)}
	db, err := Load(first, second, base)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"NULL: b-greeting base-greeting",
		"Ask: a-answer b-answer base-answer",
		"Mine: mine",
	}
	if diff := cmp.Diff(want, rulesByProbe(db)); diff != "" {
		t.Error(diff)
	}
	ask := db.Lookup(TCP, "Ask")
	if ask.Rarity != 3 || !ask.Ports.Contains(7) || !ask.Ports.Contains(8) {
		t.Errorf("rarity %d, ports %v", ask.Rarity, ask.Ports)
	}
	plain, err := Load(Source{Name: "x", Data: first.Data}, Source{Name: "y", Data: second.Data}, base)
	if err != nil {
		t.Fatal(err)
	}
	if plain.Hash == db.Hash {
		t.Error("an overlay has the hash of the same files one after the other")
	}
}

// TestOverlayIDs: of two lines with one id that of the overlay is the mistake.
func TestOverlayIDs(t *testing.T) {
	_, err := Load(Source{Name: "mine.probes", Overlay: true, Data: []byte(`Probe TCP NULL q||
# id: base-answer
match s m|^X|
`)}, Source{Name: "base.probes", Data: []byte(overlaidBase)})
	if err == nil || !strings.HasPrefix(err.Error(), "mine.probes:3") ||
		!strings.Contains(err.Error(), `id "base-answer" stands already at base.probes:8`) {
		t.Errorf("got %v", err)
	}
}

// TestWithout: a line is left out by its id, the hash tells, and an id that no
// line has is told with the nearest.
func TestWithout(t *testing.T) {
	base := Source{Name: "base.probes", Data: []byte(overlaidBase)}
	db, err := LoadWithout([]string{"base-answer"}, base)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"NULL: base-greeting", "Ask:"}, rulesByProbe(db)); diff != "" {
		t.Error(diff)
	}
	whole, err := Load(base)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Hash == db.Hash {
		t.Error("without a line the hash is the same")
	}
	if err := UnknownIDs([]string{"base-answer", "base-greeting"}, base); err != nil {
		t.Errorf("known ids: %v", err)
	}
	err = UnknownIDs([]string{"base-answr", "base-greeting", "greeting"}, base)
	var unknown *UnknownIDError
	if !errors.As(err, &unknown) || unknown.Nearest != "base-answer" {
		t.Errorf("got %v", err)
	}
	want := `no line has the id "base-answr"; the nearest is "base-answer"
no line has the id "greeting"; the nearest is "base-greeting"`
	if err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := UnknownIDs([]string{"x"}); err == nil || err.Error() != `no line has the id "x"` {
		t.Errorf("without sources: %v", err)
	}
}
