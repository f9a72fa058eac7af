package data_test

import (
	"fmt"
	"strings"
	"testing"

	"sonde/match"
)

// TestLongPages: an answer of 64 KiB is decided, and the web server that gives
// it named, with a title anywhere in its head and without one. Some hundred
// lines ask for a title; few may read all of an answer for it.
func TestLongPages(t *testing.T) {
	const header = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n\r\n"
	const link = "<link rel=\"stylesheet\" href=\"/assets/site.css\">\n"
	db, _ := load(t)
	search := db.Lookup("tcp", "GetRequest").Search()
	sc := match.NewScratch()
	check := func(name, page string) {
		got := search.Match(sc, []byte(page[:match.MaxAnswer]))
		if len(got.Undecided) > 0 || got.Identity.Product != "nginx" {
			t.Errorf("%s: %s, %d lines undecided", name, got.Identity.String(), len(got.Undecided))
		}
		t.Logf("%s: %d steps of %d", name, got.Steps, match.MaxSearchSteps)
	}
	for _, links := range []int{0, 10, 40, 100} {
		var b strings.Builder
		b.WriteString(header + "<!doctype html><html><head>\n" + strings.Repeat(link, links))
		b.WriteString("<title>Of our own</title></head><body>\n")
		for row := 0; b.Len() < match.MaxAnswer; row++ {
			fmt.Fprintf(&b, "<tr><td>%d</td><td class=\"name\">some <b>text</b></td></tr>\n", row)
		}
		check(fmt.Sprintf("%d links before the title", links), b.String())
	}
	for _, piece := range []string{
		`{"a":"b","version":"1.2"},`, "lines of text, and more of them\r\n",
		`<tr><td class="a">b</td></tr>`, ".a { color: #fff; margin: 0 }\n", "\x00",
		`if (a < b && c > d) { e("<t", "<ti", f) };`,
	} {
		check(fmt.Sprintf("%.20q without a title", piece), header+strings.Repeat(piece, match.MaxAnswer/len(piece)))
	}
}
