package syntax

// quantified reads the quantifier behind n, if there is one. A second one has
// nothing to repeat; the next atom reports it.
func (p *parser) quantified(n *Node, start int, repeatable bool) (*Node, error) {
	if p.quoted || p.pos >= len(p.src) {
		return n, nil
	}
	at := p.pos
	least, most, ok, err := p.quantifier()
	if err != nil || !ok {
		return n, err
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
	return r, nil
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
