package grammar

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sonde/match"
)

// Parse reads a probe file; name is what positions call it. The File holds
// all that is good. The error, if any, is an [Errors] with every mistake:
// a line with one is dropped, and so are the lines that belong to a bad
// Probe line, after they were checked.
func Parse(name string, data []byte) (*File, error) {
	p := &parser{file: &File{Name: name}}
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		p.line++
		p.parseLine(string(line))
		data = rest
	}
	p.dropPending()
	if len(p.errs) == 0 {
		return p.file, nil
	}
	slices.SortStableFunc(p.errs, func(a, b *Error) int {
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	return p.file, p.errs
}

type parser struct {
	file    *File
	line    int
	probe   *Probe // that the lines belong to; nil before the first
	exclude int    // line of Exclude, or 0
	pending pending
	errs    Errors
}

func (p *parser) at(col int) match.Position {
	return match.Position{File: p.file.Name, Line: p.line, Col: col}
}

// fail notes a mistake at the byte offset of the current line.
func (p *parser) fail(offset int, format string, args ...any) {
	p.errs = append(p.errs, &Error{p.at(offset + 1), fmt.Sprintf(format, args...)})
}

func (p *parser) parseLine(s string) {
	if !p.wellFormed(s) {
		p.skip(s)
		return
	}
	if strings.HasSuffix(s, "\r") {
		s = s[:len(s)-1]
		p.fail(len(s), "carriage return at the end of the line: use line feeds only")
	}
	switch {
	case s == "":
		p.dropPending()
	case s[0] == '#':
		p.comment(s)
	default:
		p.directive(s)
	}
}

// wellFormed reports lines that no reader of the format can take.
func (p *parser) wellFormed(s string) bool {
	if len(s) > MaxLine {
		p.fail(MaxLine, "line of %d bytes: at most %d are allowed", len(s), MaxLine)
		return false
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		p.fail(i, `NUL byte: write it as \0`)
		return false
	}
	return true
}

// skip passes over a line that cannot be read. What follows a lost Probe line
// must not be taken for a part of the probe before it.
func (p *parser) skip(s string) {
	if strings.HasPrefix(s, "Probe ") {
		p.probe = &Probe{}
	}
	p.pending = pending{}
}

func (p *parser) directive(s string) {
	word, _, found := strings.Cut(s, " ")
	c := &cursor{text: s, off: min(len(word)+1, len(s))}
	known := true
	switch word {
	case "match", "softmatch":
		if found {
			p.matchLine(c, word == "softmatch")
		}
	case "Probe":
		if found {
			p.probeLine(c)
		}
	case "Exclude":
		p.dropPending()
		if found {
			p.excludeLine(c)
		}
	default:
		p.dropPending()
		known = p.setting(word, c, found)
	}
	switch {
	case !known && (s[0] == ' ' || s[0] == '\t'):
		p.fail(0, "line begins with a blank: a directive stands at the very beginning")
	case !known:
		p.fail(0, "unknown directive %q", word)
		if strings.EqualFold(word, "probe") {
			p.probe = &Probe{}
		}
	case !found:
		p.dropPending()
		p.fail(len(s), "%s: nothing follows", word)
	}
}

// needProbe reports a line that stands before the first Probe line.
func (p *parser) needProbe(word string) bool {
	if p.probe == nil {
		p.fail(0, "%s before the first Probe line", word)
		return false
	}
	return true
}

// A cursor walks over one line.
type cursor struct {
	text string
	off  int
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func (c *cursor) skipBlanks() {
	for c.off < len(c.text) && isBlank(c.text[c.off]) {
		c.off++
	}
}

func (c *cursor) atEnd() bool { return c.off >= len(c.text) }

// rest is what is left of the line.
func (c *cursor) rest() string { return c.text[c.off:] }

// word skips blanks and takes all up to the next blank.
func (c *cursor) word() (s string, offset int) {
	c.skipBlanks()
	offset = c.off
	for c.off < len(c.text) && !isBlank(c.text[c.off]) {
		c.off++
	}
	return c.text[offset:c.off], offset
}

// letters takes ASCII letters.
func (c *cursor) letters() (s string, offset int) {
	offset = c.off
	for c.off < len(c.text) && isLetter(c.text[c.off]) {
		c.off++
	}
	return c.text[offset:c.off], offset
}

// delimited takes a delimiter, text and the same delimiter.
func (c *cursor) delimited() (s string, offset int, err error) {
	if c.atEnd() {
		return "", c.off, fmt.Errorf("a delimiter is missing")
	}
	d := c.text[c.off]
	if !isDelimiter(d) {
		return "", c.off, fmt.Errorf("%q cannot be a delimiter", d)
	}
	offset = c.off + 1
	n := strings.IndexByte(c.text[offset:], d)
	if n < 0 {
		return "", c.off, fmt.Errorf("the closing delimiter %q is missing", d)
	}
	c.off = offset + n + 1
	return c.text[offset : offset+n], offset, nil
}

// isDelimiter tells whether c may delimit a pattern, template or probe
// string: any byte that is no blank and no end of line.
func isDelimiter(c byte) bool { return c != 0 && c != '\n' && c != '\r' && !isBlank(c) }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isWord tells whether s is made of visible ASCII characters.
func isWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
