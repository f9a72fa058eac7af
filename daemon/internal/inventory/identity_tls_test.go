package inventory

import (
	"strings"
	"testing"

	"sonde/probes"
)

func TestMergeKeepsCertificatesOfOtherNames(t *testing.T) {
	facts := func(names ...string) (list []probes.TLSFacts) {
		for _, n := range names {
			name, version, _ := strings.Cut(n, "=")
			list = append(list, probes.TLSFacts{Name: name, Version: version})
		}
		return list
	}
	for _, tt := range []struct {
		title       string
		known, seen []probes.TLSFacts
		want        string
	}{
		{"none was seen", facts("a=1", "b=1"), nil, "a=1 b=1"},
		{"one was seen", facts("a=1", "b=1", "c=1"), facts("a=2"), "a=2 b=1 c=1"},
		{"all were seen", facts("a=1", "b=1"), facts("a=2", "b=2"), "a=2 b=2"},
		{"no name of it any more", facts("a=1", "x=1"), facts("a=2"), "a=2"},
		{"without a name", facts("=1"), facts("a=2"), "a=2"},
	} {
		known := probes.Observation{TLS: tt.known}
		seen := probes.Observation{TLS: tt.seen, Names: []string{"a", "b", "c"}}
		var got []string
		for _, f := range merge(&known, &seen).TLS {
			got = append(got, f.Name+"="+f.Version)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.title, s, tt.want)
		}
	}
}
