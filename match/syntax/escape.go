package syntax

// escape reads what follows a backslash outside a class.
func (p *parser) escape() (n *Node, repeatable bool, err error) {
	start := p.pos
	if start+1 >= len(p.src) {
		return nil, false, p.errorf(start, "backslash at the end of the pattern")
	}
	c := p.src[start+1]
	if set, ok := classEscape(c); ok {
		p.pos += 2
		return &Node{Op: OpSet, Pos: start, Set: set}, true, nil
	}
	if op, ok := assertions[c]; ok {
		p.pos += 2
		return &Node{Op: op, Pos: start}, false, nil
	}
	switch c {
	case 'Q':
		p.pos += 2
		p.quoted = true
		return nil, false, nil
	case 'E':
		p.pos += 2
		return nil, false, nil
	case 'C':
		p.pos += 2
		return &Node{Op: OpSet, Pos: start, Set: anySet}, true, nil
	case 'N':
		return p.notNewline(start)
	case 'R':
		p.pos += 2
		return newlineSequence(start), true, nil
	case 'K', 'X', 'p', 'P', 'g', 'k':
		return nil, false, p.unsupported(start, `\`+string(rune(c)))
	}
	if group, ok := p.backreference(); ok {
		return &Node{Op: OpBackref, Pos: start, Group: group, Fold: p.flags.IgnoreCase}, true, nil
	}
	b, err := p.charEscape()
	if err != nil {
		return nil, false, err
	}
	return p.literal(b, start), true, nil
}

// notNewline reads \N. With a brace behind it that is no quantifier it would
// name a character.
func (p *parser) notNewline(start int) (*Node, bool, error) {
	p.pos += 2
	if p.peek("{") {
		brace := p.pos
		if _, _, ok, err := p.counts(); !ok && err == nil {
			return nil, false, p.unsupported(start, `\N{…}`)
		}
		p.pos = brace
	}
	return &Node{Op: OpSet, Pos: start, Set: newlineSet.Not()}, true, nil
}

// assertions are the escapes that match a place, not a byte. \G is the place
// where the search began, which is always the start here.
var assertions = map[byte]Op{
	'A': OpBegin, 'G': OpBegin, 'Z': OpEnd, 'z': OpVeryEnd,
	'b': OpWordBoundary, 'B': OpNotWordBoundary,
}

// newlineSequence is \R: CR LF as one, or one byte that ends a line.
func newlineSequence(at int) *Node {
	crlf := &Node{Op: OpLiteral, Pos: at, Lit: []byte("\r\n")}
	one := &Node{Op: OpSet, Pos: at, Set: verticalSet}
	either := &Node{Op: OpAlternate, Pos: at, Subs: []*Node{crlf, one}}
	return &Node{Op: OpAtomic, Pos: at, Subs: []*Node{either}}
}

// classEscape gives the set of \d, \w and their like.
func classEscape(c byte) (ByteSet, bool) {
	switch c {
	case 'd':
		return digitSet, true
	case 'D':
		return digitSet.Not(), true
	case 'w':
		return wordSet, true
	case 'W':
		return wordSet.Not(), true
	case 's':
		return spaceSet, true
	case 'S':
		return spaceSet.Not(), true
	case 'h':
		return horizontalSet, true
	case 'H':
		return horizontalSet.Not(), true
	case 'v':
		return verticalSet, true
	case 'V':
		return verticalSet.Not(), true
	}
	return ByteSet{}, false
}

// backreference reads \1 and the like. A number of two or more digits is one
// only if that many groups stand before it, or if it cannot be octal.
func (p *parser) backreference() (group int, ok bool) {
	start := p.pos
	p.pos++
	first := byte(0)
	if p.pos < len(p.src) {
		first = p.src[p.pos]
	}
	if first < '1' || first > '9' {
		p.pos = start
		return 0, false
	}
	group, digits := p.number()
	if digits > 1 && group > p.groups && first < '8' {
		p.pos = start
		return 0, false
	}
	if group > p.maxRef {
		p.maxRef, p.maxRefPos = group, start
	}
	return group, true
}

// charEscape reads an escape that stands for one byte.
func (p *parser) charEscape() (byte, error) {
	start := p.pos
	c := p.src[start+1]
	p.pos += 2
	switch c {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'f':
		return '\f', nil
	case 'a':
		return '\a', nil
	case 'e':
		return 0x1b, nil
	case 'x':
		return p.hexEscape(start)
	case 'o':
		return p.bracedOctal(start)
	case 'c':
		return p.controlEscape(start)
	}
	if '0' <= c && c <= '7' {
		p.pos--
		return p.octalEscape(start)
	}
	if wordSet.Contains(c) && c != '_' {
		return 0, p.errorf(start, `unknown escape \%c`, c)
	}
	return c, nil
}

// hexEscape reads \xH, \xHH, \x{H…}; \x alone is NUL.
func (p *parser) hexEscape(start int) (byte, error) {
	if p.peek("{") {
		return p.braced(start, 16)
	}
	v := 0
	for i := 0; i < 2 && p.pos < len(p.src); i++ {
		d, ok := digitValue(p.src[p.pos], 16)
		if !ok {
			break
		}
		v = v*16 + d
		p.pos++
	}
	return byte(v), nil
}

func (p *parser) bracedOctal(start int) (byte, error) {
	if !p.peek("{") {
		return 0, p.errorf(start, `\o without {`)
	}
	return p.braced(start, 8)
}

func (p *parser) braced(start, base int) (byte, error) {
	p.pos++
	v, digits := 0, 0
	for ; p.pos < len(p.src) && p.src[p.pos] != '}'; p.pos++ {
		d, ok := digitValue(p.src[p.pos], base)
		if !ok {
			return 0, p.errorf(p.pos, "not a digit of base %d", base)
		}
		if v = v*base + d; v > 0xff {
			return 0, p.errorf(start, "character above 255")
		}
		digits++
	}
	if digits == 0 || !p.accept("}") {
		return 0, p.errorf(start, "no digits, or no closing brace")
	}
	return byte(v), nil
}

// octalEscape reads up to three octal digits.
func (p *parser) octalEscape(start int) (byte, error) {
	v := 0
	for i := 0; i < 3 && p.pos < len(p.src); i++ {
		d, ok := digitValue(p.src[p.pos], 8)
		if !ok {
			break
		}
		v = v*8 + d
		p.pos++
	}
	if v > 0xff {
		return 0, p.errorf(start, "character above 255")
	}
	return byte(v), nil
}

// controlEscape reads \cX.
func (p *parser) controlEscape(start int) (byte, error) {
	if p.pos >= len(p.src) || !printSet.Contains(p.src[p.pos]) {
		return 0, p.errorf(start, `\c without a printable character`)
	}
	c := p.src[p.pos]
	p.pos++
	if lowerSet.Contains(c) {
		c -= 0x20
	}
	return c ^ 0x40, nil
}

func digitValue(c byte, base int) (int, bool) {
	v := base
	switch {
	case '0' <= c && c <= '9':
		v = int(c - '0')
	case 'a' <= c && c <= 'f':
		v = int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		v = int(c-'A') + 10
	}
	return v, v < base
}
