package match

import (
	"strconv"
	"strings"
)

// maxQuoted is the longest string argument of a template call, after its
// escapes are resolved.
const maxQuoted = 127

// quoted reads a "…" argument. The escapes are those of probe strings; any
// other is an error.
func (p *templateParser) quoted() (string, error) {
	if err := p.expect('"'); err != nil {
		return "", err
	}
	var b strings.Builder
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		p.pos++
		switch c {
		case '"':
			if b.Len() > maxQuoted {
				return "", p.errorf("string longer than %d bytes", maxQuoted)
			}
			return b.String(), nil
		case '\\':
			c, err := p.escape()
			if err != nil {
				return "", err
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorf("string without closing quote")
}

// escape reads what follows a backslash.
func (p *templateParser) escape() (byte, error) {
	if p.pos >= len(p.src) {
		return 0, p.errorf("backslash at the end")
	}
	c := p.src[p.pos]
	p.pos++
	switch c {
	case '\\':
		return '\\', nil
	case '0':
		return 0, nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'x':
		if p.pos+2 <= len(p.src) {
			if v, err := strconv.ParseUint(p.src[p.pos:p.pos+2], 16, 8); err == nil {
				p.pos += 2
				return byte(v), nil
			}
		}
		return 0, p.errorf(`\x without two hex digits`)
	}
	return 0, p.errorf(`unknown escape \%c`, c)
}
