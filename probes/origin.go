package probes

import "strings"

// origins are how the source of an example begins whose answer came from a
// server that was run for it: a place that hands out programs, and how many
// words it takes to say which of its releases.
var origins = []struct {
	name    string
	release int
}{
	{"Debian ", 1}, // "Debian 12 nginx-light 1.22.1-9"
	{"Ubuntu ", 1}, // "Ubuntu 24.04 nginx-core 1.24.0-2ubuntu7"
	{"npm ", 0},    // "npm express 4.18.2"
	{"Go module ", 0},
}

// Real tells whether the answer came from a server that was run for it: its
// source names the package and its version. All others are constructed from
// what a protocol or a product's form demands.
func (e *Example) Real() bool {
	for _, o := range origins {
		rest, ok := strings.CutPrefix(e.Source, o.name)
		if !ok {
			continue
		}
		named, _, _ := strings.Cut(rest, ",")
		words := strings.Fields(named)
		return len(words) >= o.release+2 && strings.ContainsAny(words[o.release+1], "0123456789")
	}
	return false
}
