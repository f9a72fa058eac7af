package syntax

// quantified reads the quantifiers behind n. PCRE2 lets one follow another:
// each takes what stands before it, quantifier included.
func (p *parser) quantified(n *Node, start int, repeatable bool) (*Node, error) {
	for !p.quoted && p.pos < len(p.src) {
		at := p.pos
		least, most, ok, err := p.quantifier()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if !repeatable {
			return nil, p.errorf(at, "quantifier behind something that cannot be repeated")
		}
		r := &Node{Op: OpRepeat, Pos: start, Min: least, Max: most, Subs: []*Node{n}}
		switch {
		case p.accept("?"):
			r.Greed = Lazy
		case p.accept("+"):
			r.Greed = Possessive
		}
		n = r
		if p.depth++; p.depth > MaxDepth {
			return nil, p.errorf(at, "more than %d nested groups and quantifiers", MaxDepth)
		}
		defer func() { p.depth-- }()
		if err := p.skipIgnored(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// quantifier reads *, +, ? or a count.
func (p *parser) quantifier() (least, most int, ok bool, err error) {
	switch p.src[p.pos] {
	case '*':
		p.pos++
		return 0, Infinite, true, nil
	case '+':
		p.pos++
		return 1, Infinite, true, nil
	case '?':
		p.pos++
		return 0, 1, true, nil
	case '{':
		return p.counts()
	}
	return 0, 0, false, nil
}

// counts reads {n}, {n,} or {n,m}. Anything else that starts with a brace is
// literal text; then ok is false and nothing is read.
func (p *parser) counts() (least, most int, ok bool, err error) {
	start := p.pos
	p.pos++
	least, digits := p.number()
	if digits == 0 {
		p.pos = start
		return 0, 0, false, nil
	}
	most = least
	if p.accept(",") {
		if most, digits = p.number(); digits == 0 {
			most = Infinite
		}
	}
	if !p.accept("}") {
		p.pos = start
		return 0, 0, false, nil
	}
	if least > MaxRepeat || most > MaxRepeat {
		return 0, 0, false, p.errorf(start, "number in {} above %d", MaxRepeat)
	}
	if most != Infinite && most < least {
		return 0, 0, false, p.errorf(start, "numbers in {} out of order")
	}
	return least, most, true, nil
}

// number reads decimal digits. A value above MaxRepeat is kept above it.
func (p *parser) number() (value, digits int) {
	for p.pos < len(p.src) && digitSet.Contains(p.src[p.pos]) {
		value = min(value*10+int(p.src[p.pos]-'0'), MaxRepeat+1)
		p.pos++
		digits++
	}
	return value, digits
}
