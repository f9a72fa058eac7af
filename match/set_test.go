package match

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMatch(t *testing.T) {
	own, err := CompileList([]Rule{
		{Pos: Position{File: "a", Line: 1}, Service: "ssh", Pattern: `^SSH-([\d.]+)-OpenSSH_([\w.]+)[ \r\n]`,
			Fields: Fields{Product: "OpenSSH", Version: "$2", Info: "protocol $1",
				CPE: []CPETemplate{{Text: "a:openbsd:openssh:$2", Flags: "a"}}}},
		{Pos: Position{File: "a", Line: 2}, Service: "ssh", Pattern: `^SSH-`, Soft: true},
		{Pos: Position{File: "a", Line: 3}, Service: "ssh", Pattern: `^SSH-2`},
	})
	if err != nil {
		t.Fatal(err)
	}
	null, err := CompileList([]Rule{{Pos: Position{File: "b", Line: 1}, Service: "ftp", Pattern: `^220 `}})
	if err != nil {
		t.Fatal(err)
	}
	set := NewSet(own, null)
	for _, tt := range []struct {
		answer, rule string
		id           Identity
	}{
		{"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "a:1", Identity{Service: "ssh", Product: "OpenSSH",
			Version: "9.2p1", Info: "protocol 2.0", CPE: []string{"cpe:/a:openbsd:openssh:9.2p1"}}},
		{"SSH-2.0-dropbear\r\n", "a:2", Identity{Service: "ssh"}},
		{"220 ready\r\n", "b:1", Identity{Service: "ftp"}},
		{"nothing known", "", Identity{}},
		{"", "", Identity{}},
	} {
		var sc Scratch
		res := set.Match(&sc, []byte(tt.answer))
		name := ""
		if res.Rule != nil {
			name = res.Rule.Name()
		}
		if name != tt.rule {
			t.Errorf("Match(%q) = rule %q, want %q", tt.answer, name, tt.rule)
		}
		if d := cmp.Diff(tt.id, res.Identity); d != "" {
			t.Errorf("Match(%q) identity (-want +got):\n%s", tt.answer, d)
		}
	}
}
