package match

import (
	"fmt"
	"strings"
)

// The longest values of the fields in bytes: the buffers of the reference
// implementation without their final NUL. A longer value empties its field,
// for a cut version or name would be a wrong one. One quirk is left out: the
// reference holds a value that ends in a plain group to two bytes less.
const (
	maxProduct  = 80 - 1
	maxVersion  = 80 - 1
	maxInfo     = 256 - 1
	maxHostname = 80 - 1
	maxOS       = 32 - 1
	maxDevice   = 32 - 1
	maxCPE      = 80 - 1 // "cpe:/" included
)

// cpePrefix stands before every CPE value and is not part of its template.
const cpePrefix = "cpe:/"

// A template is a compiled field: text, and calls that take capture groups.
type template struct {
	parts []part
	max   int
	cpe   bool
	fixed string // the finished value, where there is no call
}

// A part is one piece of a template.
type part struct {
	call     call
	group    int
	text     string // callNone: the text; callSubst: what is replaced
	by       string // callSubst: what it is replaced by
	bigFirst bool   // callInteger: the first byte is the highest
}

type call uint8

const (
	callNone    call = iota // text
	callGroup               // $1
	callPrint               // $P(1)
	callSubst               // $SUBST(1,"a","b")
	callInteger             // $I(1,">")
)

// fieldTemplates are those of one rule.
type fieldTemplates struct {
	product, version, info, hostname, os, device *template
	cpe                                          []*template
}

func compileFields(f *Fields) (t fieldTemplates, err error) {
	for _, field := range []struct {
		dst  **template
		text string
		name string
		max  int
	}{
		{&t.product, f.Product, "p", maxProduct},
		{&t.version, f.Version, "v", maxVersion},
		{&t.info, f.Info, "i", maxInfo},
		{&t.hostname, f.Hostname, "h", maxHostname},
		{&t.os, f.OS, "o", maxOS},
		{&t.device, f.Device, "d", maxDevice},
	} {
		if *field.dst, err = compileTemplate(field.text, field.max, false); err != nil {
			return t, fmt.Errorf("field %s: %w", field.name, err)
		}
	}
	for _, c := range f.CPE {
		tpl, err := compileTemplate(c.Text, maxCPE, true)
		if err != nil {
			return t, fmt.Errorf("field cpe: %w", err)
		}
		if tpl != nil {
			t.cpe = append(t.cpe, tpl)
		}
	}
	return t, nil
}

// compileTemplate gives nil for an empty text, which is an absent field.
func compileTemplate(text string, max int, cpe bool) (*template, error) {
	if text == "" {
		return nil, nil
	}
	p := templateParser{src: text}
	parts, err := p.parse()
	if err != nil {
		return nil, err
	}
	t := &template{parts: parts, max: max, cpe: cpe}
	if len(parts) == 1 && parts[0].call == callNone {
		t.fixed = string(t.finish([]byte(t.prefix() + text)))
	}
	return t, nil
}

func (t *template) prefix() string {
	if t.cpe {
		return cpePrefix
	}
	return ""
}

// A templateParser reads the text of one field.
type templateParser struct {
	src string
	pos int
}

func (p *templateParser) errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %s (at byte %d of %q)",
		ErrTemplate, fmt.Sprintf(format, args...), p.pos+1, p.src)
}

func (p *templateParser) parse() ([]part, error) {
	var parts []part
	for p.pos < len(p.src) {
		if p.src[p.pos] != '$' {
			end := strings.IndexByte(p.src[p.pos:], '$')
			if end < 0 {
				end = len(p.src) - p.pos
			}
			parts = append(parts, part{text: p.src[p.pos : p.pos+end]})
			p.pos += end
			continue
		}
		c, err := p.call()
		if err != nil {
			return nil, err
		}
		parts = append(parts, c)
	}
	return parts, nil
}

// call reads $1 or $NAME(arguments).
func (p *templateParser) call() (part, error) {
	rest := p.src[p.pos+1:]
	if rest != "" && '1' <= rest[0] && rest[0] <= '9' {
		p.pos += 2
		return part{call: callGroup, group: int(rest[0] - '0')}, nil
	}
	name, _, ok := strings.Cut(rest, "(")
	if !ok {
		return part{}, p.errorf("'$' without a group number or a call")
	}
	c := part{}
	wanted := 0 // strings among the arguments
	switch name {
	case "P":
		c.call = callPrint
	case "SUBST":
		c.call, wanted = callSubst, 2
	case "I":
		c.call, wanted = callInteger, 1
	default:
		return part{}, p.errorf("unknown call $%s", name)
	}
	p.pos += 1 + len(name) + 1
	group, args, err := p.arguments(wanted)
	if err != nil {
		return part{}, err
	}
	return p.complete(c, group, args)
}

func (p *templateParser) complete(c part, group int, args []string) (part, error) {
	c.group = group
	switch c.call {
	case callSubst:
		if c.text, c.by = args[0], args[1]; c.text == "" {
			return c, p.errorf("$SUBST of an empty string")
		}
	case callInteger:
		if args[0] != ">" && args[0] != "<" {
			return c, p.errorf(`byte order %q is neither ">" nor "<"`, args[0])
		}
		c.bigFirst = args[0] == ">"
	}
	return c, nil
}

// arguments reads a group number and then that many strings, and the closing
// parenthesis. Blanks may stand before each.
func (p *templateParser) arguments(strs int) (group int, args []string, err error) {
	p.blanks()
	digits := p.pos
	for p.pos < len(p.src) && '0' <= p.src[p.pos] && p.src[p.pos] <= '9' {
		group = min(group*10+int(p.src[p.pos]-'0'), maxGroup+1)
		p.pos++
	}
	if p.pos == digits || group == 0 || group > maxGroup {
		return 0, nil, p.errorf("want a group number from 1 to %d", maxGroup)
	}
	for range strs {
		if err := p.expect(','); err != nil {
			return 0, nil, err
		}
		s, err := p.quoted()
		if err != nil {
			return 0, nil, err
		}
		args = append(args, s)
	}
	return group, args, p.expect(')')
}

// maxGroup is the highest group that a template can name. The reference takes
// nine from a match.
const maxGroup = 9

func (p *templateParser) blanks() {
	for p.pos < len(p.src) && p.src[p.pos] == ' ' {
		p.pos++
	}
}

func (p *templateParser) expect(c byte) error {
	p.blanks()
	if p.pos >= len(p.src) || p.src[p.pos] != c {
		return p.errorf("want %q", c)
	}
	p.pos++
	return nil
}
