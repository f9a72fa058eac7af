package syntax

import "fmt"

// A parser reads one pattern from left to right.
type parser struct {
	spare *Node // a literal that is no longer part of the tree
	src   string
	pos   int
	flags Flags
	depth int

	groups    int // capture groups opened so far
	names     []string
	maxRef    int // highest group referred to
	maxRefPos int
	quoted    bool // between \Q and \E
}

func (p *parser) errorf(at int, format string, args ...any) *Error {
	return &Error{Offset: at, Reason: fmt.Sprintf(format, args...)}
}

func (p *parser) unsupported(at int, what string) *Error {
	return &Error{Offset: at, Reason: what, Err: ErrUnsupported}
}

// peek reports whether the rest of the pattern starts with s.
func (p *parser) peek(s string) bool {
	return len(p.src)-p.pos >= len(s) && p.src[p.pos:p.pos+len(s)] == s
}

// accept skips s if it comes next.
func (p *parser) accept(s string) bool {
	if !p.peek(s) {
		return false
	}
	p.pos += len(s)
	return true
}

// alternation reads branches up to a closing parenthesis or the end. An option
// set in one branch holds in the following ones too, as in PCRE2; the caller
// restores the options behind the group.
func (p *parser) alternation() (*Node, error) {
	start := p.pos
	var branches []*Node
	for {
		n, err := p.concatenation()
		if err != nil {
			return nil, err
		}
		branches = append(branches, n)
		if !p.accept("|") {
			break
		}
	}
	if len(branches) == 1 {
		return branches[0], nil
	}
	return &Node{Op: OpAlternate, Pos: start, Subs: branches}, nil
}

func (p *parser) concatenation() (*Node, error) {
	start := p.pos
	var items []*Node
	for p.pos < len(p.src) {
		if !p.quoted && (p.src[p.pos] == '|' || p.src[p.pos] == ')') {
			break
		}
		n, err := p.item()
		if err != nil {
			return nil, err
		}
		if n != nil {
			items = p.appendItem(items, n)
		}
	}
	switch len(items) {
	case 0:
		return &Node{Op: OpEmpty, Pos: start}, nil
	case 1:
		return items[0], nil
	}
	return &Node{Op: OpConcat, Pos: start, Subs: items}, nil
}

// appendItem adds n, joining neighbouring literals of the same kind. A node
// that is joined to another is used again for the next literal.
func (p *parser) appendItem(items []*Node, n *Node) []*Node {
	if len(items) > 0 && n.Op == OpLiteral {
		last := items[len(items)-1]
		if last.Op == OpLiteral && last.Fold == n.Fold {
			last.Lit = append(last.Lit, n.Lit...)
			p.spare = n
			return items
		}
	}
	return append(items, n)
}

// item reads one atom with its quantifier. The node is nil where the pattern
// has something without a meaning of its own: options, a comment, \E.
func (p *parser) item() (*Node, error) {
	start := p.pos
	n, repeatable, err := p.atom()
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, nil
	}
	if err := p.skipIgnored(); err != nil {
		return nil, err
	}
	return p.quantified(n, start, repeatable)
}

// skipIgnored passes what may stand between an atom and its quantifier.
func (p *parser) skipIgnored() error {
	for {
		switch {
		case p.accept(`\E`):
			p.quoted = false
		case p.quoted:
			return nil
		case p.accept(`\Q\E`):
		case p.peek("(?#"):
			if err := p.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// atom reads one unit that a quantifier may follow, if repeatable.
func (p *parser) atom() (n *Node, repeatable bool, err error) {
	start := p.pos
	if p.quoted {
		if p.accept(`\E`) {
			p.quoted = false
			return nil, false, nil
		}
		p.pos++
		return p.literal(p.src[start], start), true, nil
	}
	switch c := p.src[start]; c {
	case '\\':
		return p.escape()
	case '(':
		return p.group()
	case '[':
		set, err := p.class()
		if err != nil {
			return nil, false, err
		}
		return &Node{Op: OpSet, Pos: start, Set: set}, true, nil
	case '.':
		p.pos++
		set := newlineSet.Not()
		if p.flags.DotAll {
			set = anySet
		}
		return &Node{Op: OpSet, Pos: start, Set: set}, true, nil
	case '^':
		p.pos++
		return &Node{Op: OpBegin, Pos: start}, false, nil
	case '$':
		p.pos++
		return &Node{Op: OpEnd, Pos: start}, false, nil
	case '*', '+', '?':
		return nil, false, p.errorf(start, "quantifier %q without anything to repeat", c)
	case '{':
		if _, _, ok, err := p.counts(); ok || err != nil {
			if err == nil {
				err = p.errorf(start, "quantifier %q without anything to repeat", c)
			}
			return nil, false, err
		}
		fallthrough
	default:
		p.pos = start + 1
		return p.literal(c, start), true, nil
	}
}

// literal gives the node for one byte under the present options.
func (p *parser) literal(c byte, at int) *Node {
	n := p.spare
	if n == nil {
		n = &Node{Lit: make([]byte, 0, 8)}
	}
	p.spare = nil
	*n = Node{Op: OpLiteral, Pos: at, Lit: append(n.Lit[:0], c)}
	if p.flags.IgnoreCase {
		n.Fold = true
		if 'A' <= c && c <= 'Z' {
			n.Lit[0] = c | 0x20
		}
	}
	return n
}
