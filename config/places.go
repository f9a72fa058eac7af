package config

import "strings"

// The TOML library knows where a syntax error is, but not where the keys of a
// good file are once a table repeats. places finds them: it walks text that
// the library has accepted, so it needs to find ends, not mistakes. Text that
// it does not understand costs positions, never a wrong value.

// A place is where a value stands, and where its parts stand.
type place struct {
	line, col int
	keys      map[string]*place
	items     []*place
}

// key gives the place of a key of a table, or the table's own.
func (p *place) key(name string) *place {
	if k := p.keys[name]; k != nil {
		return k
	}
	return &place{line: p.line, col: p.col}
}

// item gives the place of an element of an array, or the array's own.
func (p *place) item(i int) *place {
	if i < len(p.items) {
		return p.items[i]
	}
	return &place{line: p.line, col: p.col}
}

// maxDepth bounds nesting of arrays and inline tables; the deepest that the
// grammar of the file needs is three.
const maxDepth = 64

// placer walks the text.
type placer struct {
	text string
	pos  int
	line int
	bol  int // where the line begins
}

// places gives the places of all keys of an accepted TOML text.
func places(text string) *place {
	root := &place{line: 1, col: 1, keys: map[string]*place{}}
	p := &placer{text: text, line: 1}
	if strings.HasPrefix(text, "\xef\xbb\xbf") {
		p.pos = 3
	}
	table := root
	for p.blank(true); p.pos < len(p.text); p.blank(true) {
		before := p.pos
		if p.peek() == '[' {
			table = p.header(root)
		} else {
			p.pair(table, 0)
		}
		if p.pos == before {
			return root // not understood
		}
	}
	return root
}

func (p *placer) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *placer) here() *place { return &place{line: p.line, col: p.pos - p.bol + 1} }

// step passes n bytes and counts the lines among them.
func (p *placer) step(n int) {
	for end := min(p.pos+n, len(p.text)); p.pos < end; p.pos++ {
		if p.text[p.pos] == '\n' {
			p.line++
			p.bol = p.pos + 1
		}
	}
}

// blank passes blanks, and with lines also line ends and comments.
func (p *placer) blank(lines bool) {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == ' ' || c == '\t':
			p.step(1)
		case lines && (c == '\n' || c == '\r'):
			p.step(1)
		case lines && c == '#':
			n := strings.IndexByte(p.text[p.pos:], '\n')
			if n < 0 {
				n = len(p.text) - p.pos
			}
			p.step(n)
		default:
			return
		}
	}
}

// header reads [a.b] or [[a.b]] and gives the table that it opens.
func (p *placer) header(root *place) *place {
	at := p.here()
	array := strings.HasPrefix(p.text[p.pos:], "[[")
	p.step(1)
	if array {
		p.step(1)
	}
	names, _ := p.dotted()
	for p.peek() == ']' {
		p.step(1)
	}
	table := root
	for i, name := range names {
		last := i == len(names)-1
		table = table.open(name, at, array && last)
	}
	return table
}

// open gives the table name in p, made at this place if there is none; of an
// array of tables its newest element, or with grow a new one.
func (p *place) open(name string, at *place, grow bool) *place {
	k := p.keys[name]
	if k == nil {
		k = &place{line: at.line, col: at.col}
		p.set(name, k)
	}
	if grow {
		k.items = append(k.items, &place{line: at.line, col: at.col})
	}
	if n := len(k.items); n > 0 {
		return k.items[n-1]
	}
	return k
}

func (p *place) set(name string, k *place) {
	if p.keys == nil {
		p.keys = map[string]*place{}
	}
	p.keys[name] = k
}

// dotted reads a key like a."b.c".d and gives its parts and its place.
func (p *placer) dotted() ([]string, *place) {
	p.blank(false)
	at := p.here()
	var names []string
	for {
		p.blank(false)
		name, ok := p.simpleKey()
		if !ok {
			return names, at
		}
		names = append(names, name)
		p.blank(false)
		if p.peek() != '.' {
			return names, at
		}
		p.step(1)
	}
}

func (p *placer) simpleKey() (string, bool) {
	if c := p.peek(); c == '"' || c == '\'' {
		start := p.pos
		p.quoted()
		return unquoteKey(p.text[start:p.pos]), true
	}
	start := p.pos
	for p.pos < len(p.text) && !strings.ContainsRune(" \t\r\n.=[]{}#,\"'", rune(p.text[p.pos])) {
		p.pos++
	}
	return p.text[start:p.pos], p.pos > start
}

// pair reads key = value into a table.
func (p *placer) pair(table *place, depth int) {
	names, at := p.dotted()
	p.blank(false)
	if len(names) == 0 || p.peek() != '=' {
		return
	}
	p.step(1)
	for _, name := range names[:len(names)-1] {
		table = table.open(name, at, false)
	}
	v := p.value(depth)
	v.line, v.col = at.line, at.col
	table.set(names[len(names)-1], v)
}

// value passes a value and gives the places of its parts.
func (p *placer) value(depth int) *place {
	p.blank(false)
	v := p.here()
	switch c := p.peek(); {
	case depth > maxDepth:
		p.pos = len(p.text)
	case c == '"' || c == '\'':
		p.quoted()
	case c == '[':
		p.list(']', func() { v.items = append(v.items, p.value(depth+1)) })
	case c == '{':
		p.list('}', func() { p.pair(v, depth+1) })
	default:
		for p.pos < len(p.text) && !strings.ContainsRune(",]}#\r\n", rune(p.text[p.pos])) {
			p.pos++
		}
	}
	return v
}

// list passes the elements of an array or inline table up to its end.
func (p *placer) list(end byte, element func()) {
	p.step(1)
	for p.blank(true); p.pos < len(p.text) && p.peek() != end; p.blank(true) {
		before := p.pos
		if p.peek() == ',' {
			p.step(1)
		} else {
			element()
		}
		if p.pos == before {
			p.pos = len(p.text) // not understood
		}
	}
	p.step(1)
}

// quoted passes a string of any of the four kinds.
func (p *placer) quoted() {
	q := p.text[p.pos : p.pos+1]
	if strings.HasPrefix(p.text[p.pos:], q+q+q) {
		p.multiline(q)
		return
	}
	for p.step(1); p.pos < len(p.text); p.step(1) {
		switch c := p.text[p.pos]; {
		case c == q[0]:
			p.step(1)
			return
		case c == '\\' && q == `"`:
			p.step(1)
		}
	}
}

// multiline passes a string in triple quotes, which may end in up to two
// quotes of its own.
func (p *placer) multiline(q string) {
	for p.step(3); p.pos < len(p.text); p.step(1) {
		switch rest := p.text[p.pos:]; {
		case strings.HasPrefix(rest, q+q+q):
			p.step(3)
			for n := 0; n < 2 && strings.HasPrefix(p.text[p.pos:], q); n++ {
				p.step(1)
			}
			return
		case rest[0] == '\\' && q == `"`:
			p.step(1)
		}
	}
}
