package grammar

import (
	"strings"

	"sonde/match"
)

// matchLine reads what follows "match " or "softmatch ".
func (p *parser) matchLine(c *cursor, soft bool) {
	notes := p.takePending(false)
	word := "match"
	if soft {
		word = "softmatch"
	}
	r := match.Rule{Pos: p.at(0), ID: notes.id.text, Soft: soft,
		Blocked: notes.outcome.line != 0}
	good := p.needProbe(word)
	if !p.ruleHead(c, &r) {
		return
	}
	before := len(p.errs)
	p.ruleFlags(c, &r)
	p.ruleFields(c, &r.Fields)
	if good && len(p.errs) == before {
		p.probe.Rules = append(p.probe.Rules, r)
	}
}

// ruleHead reads the service and the pattern.
func (p *parser) ruleHead(c *cursor, r *match.Rule) bool {
	service, at := c.word()
	switch {
	case service == "":
		p.fail(at, "the service name is missing")
		return false
	case !isWord(service):
		p.fail(at, "bad service name %q: only visible ASCII characters are allowed", service)
		return false
	}
	r.Service = service
	c.skipBlanks()
	if c.atEnd() || c.text[c.off] != 'm' {
		p.fail(c.off, "want the pattern as m|…|")
		return false
	}
	c.off++
	pattern, at, err := c.delimited()
	switch {
	case err != nil:
		p.fail(at, "pattern: %v", err)
		return false
	case pattern == "":
		p.fail(at, "the pattern is empty")
		return false
	}
	r.Pattern, r.PatternCol = pattern, at+1
	return true
}

func (p *parser) ruleFlags(c *cursor, r *match.Rule) {
	flags, at := c.letters()
	for i := range len(flags) {
		switch flags[i] {
		case 'i':
			r.IgnoreCase = true
		case 's':
			r.DotAll = true
		default:
			p.fail(at+i, "unknown pattern flag %q: want i or s", flags[i])
		}
	}
	p.wantBlank(c, "the pattern")
}

// wantBlank reports what follows something without a blank between.
func (p *parser) wantBlank(c *cursor, after string) {
	if c.atEnd() || isBlank(c.text[c.off]) {
		return
	}
	p.fail(c.off, "want a blank after %s", after)
	c.word()
}

// ruleFields reads the templates. A field that cannot be read ends it, since
// nothing tells where the next one begins.
func (p *parser) ruleFields(c *cursor, f *match.Fields) {
	for {
		c.skipBlanks()
		if c.atEnd() {
			return
		}
		at := c.off
		if strings.HasPrefix(c.rest(), "cpe:") {
			c.off += len("cpe:")
			text, where, err := c.delimited()
			if err != nil {
				p.fail(where, "cpe: %v", err)
				return
			}
			flags, _ := c.letters()
			f.CPE = append(f.CPE, match.CPETemplate{Text: text, Flags: flags})
			p.wantBlank(c, "cpe")
			continue
		}
		letter := c.text[at]
		target := fieldOf(f, letter)
		if target == nil {
			word, _ := c.word()
			p.fail(at, "unknown field %q: want one of p v i h o d, or cpe:", word)
			return
		}
		c.off++
		text, where, err := c.delimited()
		if err != nil {
			p.fail(where, "field %c: %v", letter, err)
			return
		}
		*target = text
		c.letters()
		p.wantBlank(c, "field "+string(letter))
	}
}

// fieldOf gives the place of the template that letter names, or nil.
func fieldOf(f *match.Fields, letter byte) *string {
	switch letter {
	case 'p':
		return &f.Product
	case 'v':
		return &f.Version
	case 'i':
		return &f.Info
	case 'h':
		return &f.Hostname
	case 'o':
		return &f.OS
	case 'd':
		return &f.Device
	}
	return nil
}
