package probes

import (
	"slices"
	"testing"
)

const foreign = `Probe UDP Ask q|ask|
rarity 1
ports 161
match snmp m|^v1| p/Some agent/
match http m|^web|
`

// completed loads the foreign file as a user's own database is.
func completed(t *testing.T, more ...Source) *Database {
	t.Helper()
	sources, err := Complete(append([]Source{{Name: "peer", Data: []byte(foreign)}}, more...))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestCompletePutsOursBehindOthers(t *testing.T) {
	db := completed(t)
	for _, tt := range []struct {
		port uint16
		want []string
	}{
		{161, []string{"Ask", "builtin:SNMPv3GetRequest"}},
		{3478, []string{"builtin:StunBinding", "Ask"}}, // it lists the port
		{9, []string{"Ask"}},
	} {
		var got []string
		for _, r := range db.Ladder(LadderRequest{Transport: UDP, Port: tt.port, Intensity: 7}) {
			got = append(got, r.Probe.Name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("port %d: asked are %v, want %v", tt.port, got, tt.want)
		}
	}
}

func TestCompleting(t *testing.T) {
	db := completed(t)
	ask := db.Lookup(UDP, "Ask")
	for rule := range ask.Rules() {
		var got []string
		for _, p := range db.Completing(UDP, rule) {
			got = append(got, p.Name)
		}
		var want []string
		if rule.Service == "snmp" {
			want = []string{"builtin:SNMPv3GetRequest"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is completed by %v, want %v", rule.Service, got, want)
		}
	}
	for rule := range db.Lookup(UDP, "builtin:SNMPv3GetRequest").Rules() {
		if more := db.Completing(UDP, rule); len(more) > 0 {
			t.Errorf("what our line %s tells is completed by %s", rule.Name(), more[0].Name)
		}
	}
}

// TestCompleteOnlyWhatIsForeign: a user's lines beside the built-in ones say
// what the user means, and so does an overlay.
func TestCompleteOnlyWhatIsForeign(t *testing.T) {
	own, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	overlay := Source{Name: "local", Data: []byte(foreign), Overlay: true}
	for name, sources := range map[string][]Source{
		"built-in":              own,
		"overlay":               {overlay},
		"overlay and built-in":  append([]Source{overlay}, own...),
		"others, then built-in": append([]Source{{Name: "peer", Data: []byte(foreign)}}, own...),
	} {
		got, err := Complete(sources)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(sources) {
			t.Errorf("%s: %d sources became %d", name, len(sources), len(got))
		}
	}
	export := exported(t, own)
	if got, err := Complete([]Source{export}); err != nil || len(got) != 1 {
		t.Errorf("an export of ours became %d sources, %v", len(got), err)
	}
	db, err := Load(append([]Source{overlay}, own...)...)
	if err != nil {
		t.Fatal(err)
	}
	for rule := range db.Lookup(UDP, "Ask").Rules() {
		if more := db.Completing(UDP, rule); len(more) > 0 {
			t.Errorf("a line of the user for %s is completed by %s", rule.Service, more[0].Name)
		}
	}
}

func exported(t *testing.T, own []Source) Source {
	t.Helper()
	f, err := Merge(own...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Source{Name: "all.probes", Data: text}
}
