package probes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLintOverlaps(t *testing.T) {
	const text = `Probe TCP NULL q||
softmatch ftp m|^220 |
match ftp m|^220 ProFTPD| p/ProFTPD/
match ftp m|^220-Pure| p/Pure/
match a m|^x\r\n|
match a m|^x\r\n| p/again/
match a m|^x\r\n|i
match b m|^ab|
match b m|^ab?c|
match b m|^abc|
match c m|^c+|
match c m|^c+d|
match d m=^220 x|y=
match e m|^z\0|
match e m|^z\01|
Probe TCP Other q|o|
match ftp m|^220 ProFTPD| p/ProFTPD/
rarity 3
Probe TCP Other q|o|
rarity 4
Probe TCP Other q|p|
`
	got := map[string]Class{}
	for _, p := range Lint(sourcesOf(text)...) {
		pos := p.Pos
		pos.Col = 0
		got[pos.String()] = p.Class
	}
	want := map[string]Class{
		"a:3": Overlap, "a:6": Overlap, "a:10": Overlap, "a:19": Doubt, "a:21": Doubt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLintRefusals(t *testing.T) {
	const text = `Probe TCP NULL q||
# outcome: blocked
match a m|^a| p/A/ i/too many/ cpe:/a:a:a/
# outcome: blocked
softmatch b m|^b(.)| v/$1/
# outcome: blocked
match c m|^c| o/Linux/
match d m|^d| p/D/ v/1/
`
	var got []string
	for _, p := range Lint(sourcesOf(text)...) {
		got = append(got, p.Pos.String()+" "+string(p.Class))
	}
	if diff := cmp.Diff([]string{"a:5 doubt", "a:7 doubt"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLintSortsByFileAndLine(t *testing.T) {
	got := Lint(Source{Name: "z", Data: []byte("bogus\nProbe TCP A q|a|\nmatch x m|(|\n")}, Source{Name: "a", Data: []byte("bogus\n")})
	var at []string
	for _, p := range got {
		at = append(at, p.Pos.String())
	}
	if diff := cmp.Diff([]string{"z:1:1", "z:3:11", "a:1:1"}, at); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
