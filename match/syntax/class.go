package syntax

import "strings"

// posixSets are the sets behind [:name:].
var posixSets = map[string]ByteSet{
	"alnum":  union(digitSet, lowerSet, upperSet),
	"alpha":  union(lowerSet, upperSet),
	"ascii":  setRange(0, 0x7f),
	"blank":  setOf("\t "),
	"cntrl":  controlSet,
	"digit":  digitSet,
	"graph":  graphSet,
	"lower":  lowerSet,
	"print":  printSet,
	"punct":  punctSet(),
	"space":  spaceSet,
	"upper":  upperSet,
	"word":   wordSet,
	"xdigit": union(digitSet, setRange('a', 'f'), setRange('A', 'F')),
}

func punctSet() ByteSet {
	alnum := union(digitSet, lowerSet, upperSet).Not()
	var s ByteSet
	for i := range s {
		s[i] = graphSet[i] & alnum[i]
	}
	return s
}

// A classItem is one member of a class: a byte, or a set that cannot be the
// end of a range.
type classItem struct {
	char  byte
	set   ByteSet
	isSet bool
	empty bool // \E, \Q: nothing at all
}

// class reads […]. The position is at the bracket.
func (p *parser) class() (ByteSet, error) {
	start := p.pos
	if _, ok, err := p.posixItem(); ok || err != nil {
		return ByteSet{}, p.errorf(start, "[:…:] outside a class")
	}
	p.pos++
	negate := p.accept("^")
	var set ByteSet
	for first := true; ; first = false {
		if p.pos >= len(p.src) {
			return set, p.errorf(start, "class without closing bracket")
		}
		if !p.quoted && p.src[p.pos] == ']' && !first {
			p.pos++
			break
		}
		it, err := p.classItem(start)
		if err != nil {
			return set, err
		}
		if it.empty {
			// It does not count as the first member.
			if first && p.pos < len(p.src) && p.src[p.pos] == ']' && !p.quoted {
				p.pos++
				set.Add(']')
			}
			continue
		}
		if err := p.classRange(&set, it, start); err != nil {
			return set, err
		}
	}
	if p.flags.IgnoreCase {
		set = set.Folded()
	}
	if negate {
		set = set.Not()
	}
	return set, nil
}

// classRange adds it to the set, or the range that it begins.
func (p *parser) classRange(set *ByteSet, it classItem, start int) error {
	at := p.pos
	dash := !p.quoted && p.peek("-") && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']'
	if !dash {
		if it.isSet {
			set.AddSet(it.set)
		} else {
			set.Add(it.char)
		}
		return nil
	}
	if it.isSet {
		return p.errorf(at, "range in a class starts with a set")
	}
	p.pos++
	end, err := p.classItem(start)
	for err == nil && end.empty && p.pos < len(p.src) {
		if !p.quoted && p.src[p.pos] == ']' {
			// The hyphen came last after all.
			set.Add(it.char)
			set.Add('-')
			return nil
		}
		end, err = p.classItem(start)
	}
	switch {
	case err != nil:
		return err
	case end.isSet:
		return p.errorf(at, "range in a class ends with a set")
	case end.empty:
		return p.errorf(start, "class without closing bracket")
	case end.char < it.char:
		return p.errorf(at, "range in a class out of order")
	}
	set.AddRange(it.char, end.char)
	return nil
}

func (p *parser) classItem(start int) (classItem, error) {
	if p.quoted {
		if p.accept(`\E`) {
			p.quoted = false
			return classItem{empty: true}, nil
		}
		p.pos++
		return classItem{char: p.src[p.pos-1]}, nil
	}
	c := p.src[p.pos]
	if it, ok, err := p.posixItem(); ok || err != nil {
		return it, err
	}
	if c != '\\' {
		p.pos++
		return classItem{char: c}, nil
	}
	return p.classEscape(start)
}

func (p *parser) classEscape(start int) (classItem, error) {
	at := p.pos
	if at+1 >= len(p.src) {
		return classItem{}, p.errorf(start, "class without closing bracket")
	}
	c := p.src[at+1]
	if set, ok := classEscape(c); ok {
		p.pos += 2
		return classItem{set: set, isSet: true}, nil
	}
	switch c {
	case 'Q', 'E':
		p.pos += 2
		p.quoted = c == 'Q'
		return classItem{empty: true}, nil
	case 'b':
		p.pos += 2
		return classItem{char: '\b'}, nil
	case 'B', 'R', 'X', 'N':
		return classItem{}, p.errorf(at, `\%c has no meaning in a class`, c)
	case 'p', 'P':
		return classItem{}, p.unsupported(at, `\`+string(rune(c)))
	case '8', '9':
		p.pos += 2
		return classItem{char: c}, nil
	}
	b, err := p.charEscape()
	return classItem{char: b}, err
}

// posixItem reads [:name:]; ok is false where the bracket is only a bracket.
func (p *parser) posixItem() (it classItem, ok bool, err error) {
	start := p.pos
	if !p.peek("[:") && !p.peek("[.") && !p.peek("[=") {
		return it, false, nil
	}
	kind := p.src[start+1]
	end := posixEnd(p.src[start+2:], kind)
	if end < 0 {
		return it, false, nil
	}
	name := p.src[start+2 : start+2+end]
	if kind != ':' {
		return it, false, p.errorf(start, "collating elements do not exist")
	}
	name, negate := strings.CutPrefix(name, "^")
	set, known := posixSets[name]
	if !known {
		return it, false, p.errorf(start, "unknown class name %q", name)
	}
	if p.flags.IgnoreCase {
		set = set.Folded()
	}
	if negate {
		set = set.Not()
	}
	p.pos = start + 2 + end + 2
	return classItem{set: set, isSet: true}, true, nil
}

// posixEnd finds the ":]" that ends a class name. PCRE2 stops looking at a
// closing bracket, a backslash before one, or a new opening one.
func posixEnd(s string, kind byte) int {
	for i := 0; i+1 < len(s); i++ {
		switch {
		case s[i] == kind && s[i+1] == ']':
			return i
		case s[i] == ']':
			return -1
		case s[i] == '\\' && (s[i+1] == ']' || s[i+1] == '\\'):
			i++
		case s[i] == '[' && s[i+1] == kind:
			return -1
		}
	}
	return -1
}
