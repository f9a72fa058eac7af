package syntax

import (
	"slices"
	"strings"
)

// group reads whatever starts with a parenthesis.
func (p *parser) group() (n *Node, repeatable bool, err error) {
	start := p.pos
	switch {
	case p.peek("(*"):
		if p.pos+2 < len(p.src) && (upperSet.Contains(p.src[p.pos+2]) || p.src[p.pos+2] == ':' ||
			lowerSet.Contains(p.src[p.pos+2])) {
			return nil, false, p.unsupported(start, "verb (*…)")
		}
		return nil, false, p.errorf(start+1, "quantifier '*' without anything to repeat")
	case p.peek("(?#"):
		return nil, false, p.comment()
	case !p.peek("(?"):
		p.pos++
		n, err = p.capture(start)
		return n, true, err
	}
	p.pos += 2
	n = &Node{Pos: start}
	switch {
	case p.accept(":"):
		n, err = p.body(start)
		return n, true, err
	case p.accept(">"):
		n.Op = OpAtomic
	case p.accept("="):
		n.Op = OpLook
	case p.accept("!"):
		n.Op, n.Negate = OpLook, true
	case p.accept("<="):
		n.Op, n.Behind = OpLook, true
	case p.accept("<!"):
		n.Op, n.Behind, n.Negate = OpLook, true, true
	case p.peek("<"), p.peek("'"), p.peek("P<"):
		if err := p.groupName(); err != nil {
			return nil, false, err
		}
		n, err = p.capture(start)
		return n, true, err
	default:
		return p.options(start)
	}
	sub, err := p.body(start)
	if err != nil {
		return nil, false, err
	}
	n.Subs = []*Node{sub}
	if n.Behind {
		if err := p.checkBehind(sub, start); err != nil {
			return nil, false, err
		}
	}
	return n, true, nil
}

// checkBehind demands one length of each branch of a look-behind.
func (p *parser) checkBehind(sub *Node, start int) error {
	branches := []*Node{sub}
	if sub.Op == OpAlternate {
		branches = sub.Subs
	}
	for _, b := range branches {
		if _, ok := b.FixedLen(); !ok {
			return p.unsupported(start, "look-behind of varying length")
		}
	}
	return nil
}

func (p *parser) capture(start int) (*Node, error) {
	p.groups++
	n := &Node{Op: OpCapture, Pos: start, Group: p.groups}
	sub, err := p.body(start)
	if err != nil {
		return nil, err
	}
	n.Subs = []*Node{sub}
	return n, nil
}

// body reads the rest of a group, closing parenthesis included, and puts the
// options back to what they were before it.
func (p *parser) body(start int) (*Node, error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, p.errorf(start, "more than %d nested groups", MaxDepth)
	}
	defer func(f Flags) { p.flags = f; p.depth-- }(p.flags)
	return p.bodyInside(start)
}

func (p *parser) bodyInside(start int) (*Node, error) {
	n, err := p.alternation()
	if err != nil {
		return nil, err
	}
	if !p.accept(")") {
		return nil, p.errorf(start, "missing closing parenthesis")
	}
	if n.Op == OpLiteral {
		// What follows the group must not be joined to a literal in it, for
		// a quantifier may be on its way to the group as a whole.
		n = &Node{Op: OpConcat, Pos: start, Subs: []*Node{n}}
	}
	return n, nil
}

// groupName reads <name>, 'name' or P<name>. Names must differ, and serve no
// other purpose: templates refer to numbers.
func (p *parser) groupName() error {
	start := p.pos
	p.accept("P")
	closing := byte('>')
	if p.src[p.pos] == '\'' {
		closing = '\''
	}
	p.pos++
	end := strings.IndexByte(p.src[p.pos:], closing)
	if end <= 0 || end > 32 || digitSet.Contains(p.src[p.pos]) {
		return p.errorf(start, "malformed group name")
	}
	for i := range end {
		if !wordSet.Contains(p.src[p.pos+i]) {
			return p.errorf(start, "malformed group name")
		}
	}
	name := p.src[p.pos : p.pos+end]
	if slices.Contains(p.names, name) {
		return p.errorf(start, "second group named %q", name)
	}
	p.names = append(p.names, name)
	p.pos += end + 1
	return nil
}

// options reads (?i), (?-s), (?i:…) and their like, behind "(?".
func (p *parser) options(start int) (*Node, bool, error) {
	flags, on := p.flags, true
	for ; p.pos < len(p.src); p.pos++ {
		switch c := p.src[p.pos]; c {
		case 'i':
			flags.IgnoreCase = on
		case 's':
			flags.DotAll = on
		case '-':
			if !on {
				return nil, false, p.errorf(p.pos, "second '-' in options")
			}
			on = false
		case ')':
			p.pos++
			p.flags = flags
			return nil, false, nil
		case ':':
			p.pos++
			outer := p.flags
			p.flags = flags
			n, err := p.body(start)
			p.flags = outer
			return n, true, err
		default:
			return nil, false, p.unsupported(start, "group (?"+string(rune(c)))
		}
	}
	return nil, false, p.errorf(start, "missing closing parenthesis")
}

// comment skips (?#…).
func (p *parser) comment() error {
	end := strings.IndexByte(p.src[p.pos:], ')')
	if end < 0 {
		return p.errorf(p.pos, "comment without closing parenthesis")
	}
	p.pos += end + 1
	return nil
}
