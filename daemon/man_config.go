package main

import (
	"bytes"
	"strings"
)

// manConfig makes sonde.toml(5) from the reference configuration. Each table is a
// section, each key an entry with the comment that stands above it.
func manConfig(reference string) []byte {
	m := manWriter{}
	m.line(`.TH "SONDE.TOML" "5" "Jan 1970" "Sonde" "Sonde"`)
	m.line(".SH NAME")
	m.line(`sonde.toml \- configuration of sonde(8)`)
	m.line(".SH DESCRIPTION")
	var comment []string
	for l := range strings.Lines(reference) {
		l = strings.TrimRight(l, "\n")
		text, isComment := strings.CutPrefix(l, "#")
		switch {
		case isComment:
			comment = append(comment, strings.TrimPrefix(text, " "))
		case l == "" && len(comment) > 0 && (!m.inTable || standsAlone(comment)):
			m.paragraphs(comment)
			comment = nil
		case l == "":
			if len(comment) > 0 { // a remark of its own, before the next key
				comment = append(comment, "")
			}
		case strings.HasPrefix(l, "["):
			m.line(".SH " + escapeRoff(l))
			m.paragraphs(comment)
			comment, m.inTable = nil, true
		default:
			m.line(".TP")
			m.line(`\fB` + escapeRoff(l) + `\fP`)
			m.paragraphs(comment)
			comment = nil
		}
	}
	m.paragraphs(comment)
	m.line(".SH SEE ALSO")
	m.line(`\fBsonde\fP(8), \fBsonde\-check\fP(1), \fBsonde\-plan\fP(1)`)
	return m.out.Bytes()
}

// standsAlone says whether a comment belongs to no key: it ends in a blank line
// of its own, or shows a table.
func standsAlone(comment []string) bool {
	for _, l := range comment {
		if strings.HasPrefix(l, "[[") || strings.HasPrefix(l, "  ") {
			return true
		}
	}
	return false
}

type manWriter struct {
	out     bytes.Buffer
	inTable bool
}

func (m *manWriter) line(s string) { m.out.WriteString(s + "\n") }

// paragraphs writes comment lines: what is indented, and what shows a table, as it
// stands, all else as text.
func (m *manWriter) paragraphs(lines []string) {
	asIs := false
	verbatim := func(on bool) {
		if on != asIs {
			m.line(map[bool]string{true: ".RS 4\n.nf", false: ".fi\n.RE"}[on])
			asIs = on
		}
	}
	table := false
	for _, l := range lines {
		table = table || strings.HasPrefix(l, "[[")
		verbatim(table || strings.HasPrefix(l, "  ") || labelled(l))
		if l == "" && !asIs {
			m.line(".PP")
			continue
		}
		m.line(escapeRoff(l))
	}
	verbatim(false)
}

// labelled says whether a line is the first of a list such as "Files:  ...".
func labelled(l string) bool { return strings.Contains(l, ":  ") }

// escapeRoff keeps text from being taken for requests and escapes of roff.
func escapeRoff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	return s
}
