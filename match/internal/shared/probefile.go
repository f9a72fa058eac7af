package shared

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Line is one match or softmatch line, as much of it as matching needs.
type Line struct {
	Number     int
	Soft       bool
	Service    string
	Pattern    string
	IgnoreCase bool
	DotAll     bool
	Fields     string // the rest of the line, unread
}

// A Probe is one probe of a probe file. The real reader of this grammar is in
// another package, which depends on the one under test.
type Probe struct {
	Transport string // tcp or udp
	Name      string
	Fallback  []string
	Lines     []Line
}

// Peer reads the peer's probe file.
func Peer(tb testing.TB) []*Probe {
	tb.Helper()
	f, err := os.Open(Path(tb, filepath.Join("peer", "nmap-service-probes")))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var probes []*Probe
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		word, rest, _ := strings.Cut(sc.Text(), " ")
		switch word {
		case "Probe":
			transport, rest, _ := strings.Cut(rest, " ")
			name, _, _ := strings.Cut(rest, " ")
			probes = append(probes, &Probe{Transport: strings.ToLower(transport), Name: name})
		case "fallback":
			p := probes[len(probes)-1]
			p.Fallback = strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ' ' })
		case "match", "softmatch":
			p := probes[len(probes)-1]
			p.Lines = append(p.Lines, readLine(n, word == "softmatch", rest))
		}
	}
	if err := sc.Err(); err != nil {
		tb.Fatal(err)
	}
	return probes
}

// Lines reads a file that has match and softmatch lines and comments only.
func Lines(tb testing.TB, path string) []Line {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var lines []Line
	for i, line := range strings.Split(string(text), "\n") {
		if word, rest, _ := strings.Cut(line, " "); word == "match" || word == "softmatch" {
			lines = append(lines, readLine(i+1, word == "softmatch", rest))
		}
	}
	return lines
}

func readLine(number int, soft bool, rest string) Line {
	service, rest, _ := strings.Cut(rest, " ")
	rest = strings.TrimLeft(rest, " ")
	delimiter := rest[1:2]
	pattern, rest, _ := strings.Cut(rest[2:], delimiter)
	flags, fields, _ := strings.Cut(rest, " ")
	return Line{
		Number: number, Soft: soft, Service: service, Pattern: pattern,
		IgnoreCase: strings.Contains(flags, "i"), DotAll: strings.Contains(flags, "s"),
		Fields: fields,
	}
}

// Chain gives the probes whose lines are searched for an answer: the probe
// itself, its fallbacks, and NULL for TCP.
func Chain(probes []*Probe, transport, name string) []*Probe {
	own := find(probes, transport, name)
	if own == nil {
		return nil
	}
	chain := []*Probe{own}
	for _, f := range own.Fallback {
		p := find(probes, transport, f)
		for _, other := range []string{"tcp", "udp"} {
			if p == nil {
				p = find(probes, other, f)
			}
		}
		chain = append(chain, p)
	}
	if null := find(probes, "tcp", "NULL"); transport == "tcp" && name != "NULL" {
		chain = append(chain, null)
	}
	return chain
}

func find(probes []*Probe, transport, name string) *Probe {
	for _, p := range probes {
		if p.Transport == transport && p.Name == name {
			return p
		}
	}
	return nil
}
