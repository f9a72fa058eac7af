package ports

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// A ParseError tells what is wrong with one item of a port list, and how to
// put it right.
type ParseError struct {
	Offset int    // byte offset of Item in the list, from 0
	Item   string // the text between two commas, or what is wrong in it
	Reason string // what is wrong
	Remedy string // what to write instead
}

// Error gives item, reason and remedy on one line.
func (e *ParseError) Error() string {
	return fmt.Sprintf("port list, byte %d: %q: %s; %s", e.Offset+1, e.Item, e.Reason, e.Remedy)
}

// ParseErrors are all mistakes of one list, in the order in which they stand.
type ParseErrors []*ParseError

// Error joins the messages with line breaks.
func (l ParseErrors) Error() string {
	var b strings.Builder
	for i, e := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap gives the errors one by one to package errors.
func (l ParseErrors) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}

// scope is the transports that an item counts for.
type scope uint8

const (
	scopeTCP scope = 1 << iota
	scopeUDP
	scopeBoth = scopeTCP | scopeUDP
)

// Parse reads a list of ports for both transports. Items are separated by
// commas; blanks around them do not count. An item is
//
//	22            a number from 0 to 65535
//	80-90         a range; -1024 begins at 1, 60000- ends at 65535, - is 1-65535
//	ssh, http*    a name, where * and ? stand for any letters; what is only
//	              registered counts where no name in use fits
//	top:100       the N ports that matter most; see [Top]
//
// T: and U: in front of an item limit it and all that follow to TCP or UDP.
// Before the first prefix an item counts for both.
//
// The error is a [ParseErrors] with every bad item; the List then holds the
// good ones. An empty list is an error.
func Parse(s string) (List, error) {
	p := parser{text: s, scope: scopeBoth, prefixes: true, words: true}
	p.run()
	return List{OfRanges(p.tcp...), OfRanges(p.udp...)}, p.err()
}

// ParseSet reads a list for one transport, "tcp" or "udp", with the items of
// [Parse] but without prefixes.
func ParseSet(transport, s string) (Set, error) {
	p := parser{text: s, scope: scopeTCP, words: true}
	if transport == UDP {
		p.scope = scopeUDP
	}
	p.run()
	return OfRanges(append(p.tcp, p.udp...)...), p.err()
}

// ParseNumbers reads a list of numbers and closed ranges only, as it stands
// in the ports and sslports lines of probe files.
func ParseNumbers(s string) (Set, error) {
	p := parser{text: s, scope: scopeTCP}
	p.run()
	return OfRanges(p.tcp...), p.err()
}

type parser struct {
	text     string
	prefixes bool // T: and U: are allowed
	words    bool // names, top:N and open ranges are allowed
	scope    scope
	tcp, udp []Range
	errs     ParseErrors
}

func (p *parser) err() error {
	if len(p.errs) == 0 {
		return nil
	}
	return p.errs
}

func (p *parser) fail(offset int, item, reason, remedy string) {
	p.errs = append(p.errs, &ParseError{offset, item, reason, remedy})
}

func (p *parser) run() {
	if strings.Trim(p.text, " \t") == "" {
		p.fail(0, p.text, "the list is empty", `write ports such as "22,80-90"`)
		return
	}
	for start := 0; ; {
		end := strings.IndexByte(p.text[start:], ',')
		if end < 0 {
			p.item(start, p.text[start:])
			return
		}
		p.item(start, p.text[start:start+end])
		start += end + 1
	}
}

// item reads one item that begins at offset, blanks included.
func (p *parser) item(offset int, s string) {
	offset, s = trim(offset, s)
	if len(s) >= 2 && s[1] == ':' {
		if !p.prefix(offset, s[0]) {
			return
		}
		offset, s = trim(offset+2, s[2:])
	}
	switch {
	case s == "":
		p.fail(offset, s, "nothing stands here", "drop the extra comma or prefix")
	case s[0] >= '0' && s[0] <= '9' && p.words && !strings.ContainsAny(s, "*?") && p.named(strings.ToLower(s), registered):
		// A name such as 3com-net-mgmt.
	case s[0] >= '0' && s[0] <= '9' || s[0] == '-':
		p.numbers(offset, s)
	case !p.words:
		p.fail(offset, s, "not a port number", `write numbers and ranges such as "22,80-90"`)
	case strings.HasPrefix(s, "top:"):
		p.top(offset, s)
	default:
		p.name(offset, s)
	}
}

func (p *parser) prefix(offset int, c byte) bool {
	item := string(c) + ":"
	if !p.prefixes {
		p.fail(offset, item, "a transport prefix is not allowed here", "drop it")
		return false
	}
	switch c {
	case 'T', 't':
		p.scope = scopeTCP
	case 'U', 'u':
		p.scope = scopeUDP
	default:
		p.fail(offset, item, "unknown transport prefix", "write T: for TCP or U: for UDP")
		return false
	}
	return true
}

func (p *parser) numbers(offset int, s string) {
	first, last, isRange := strings.Cut(s, "-")
	r, whole := Range{1, maxPort}, s
	if !p.words && isRange && (strings.Trim(first, " \t") == "" || strings.Trim(last, " \t") == "") {
		p.fail(offset, whole, "an open range is not allowed here", "write both ends")
		return
	}
	ok := true
	if o, f := trim(offset, first); f != "" || !isRange {
		r.First, ok = p.number(o, f)
		r.Last = r.First
	}
	if o, l := trim(offset+len(first)+1, last); isRange {
		r.Last = maxPort
		if l != "" {
			var okLast bool
			r.Last, okLast = p.number(o, l)
			ok = ok && okLast
		}
	}
	switch {
	case !ok:
	case r.First > r.Last:
		p.fail(offset, whole, "the range runs backwards", "write the lower port first")
	default:
		p.add(p.scope, r)
	}
}

func (p *parser) number(offset int, s string) (uint16, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			p.fail(offset, s, "not a port number", `write numbers and ranges such as "22,80-90"`)
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		p.fail(offset, s, "port out of range", "ports run from 0 to 65535")
		return 0, false
	}
	return uint16(n), true
}

func (p *parser) top(offset int, s string) {
	n, err := strconv.Atoi(s[len("top:"):])
	if err != nil || n < 1 || s[len("top:")] == '+' {
		p.fail(offset, s, "top: wants a count", `write for example "top:100"`)
		return
	}
	size := 0
	for _, t := range []struct {
		transport string
		scope     scope
	}{{TCP, scopeTCP}, {UDP, scopeUDP}} {
		if p.scope&t.scope == 0 {
			continue
		}
		size = max(size, TopSize(t.transport))
		for _, port := range Top(t.transport, n) {
			p.add(t.scope, Range{port, port})
		}
	}
	if n > size {
		p.fail(offset, s, fmt.Sprintf("only %d ports are ranked", size),
			fmt.Sprintf("write top:%d, or a range", size))
	}
}

func (p *parser) name(offset int, s string) {
	if strings.ContainsAny(s, `[]\`) {
		p.fail(offset, s, "brackets are not supported", "write a range without brackets")
		return
	}
	pattern := strings.ToLower(s)
	found := p.named(pattern, tableOf)
	if port, ok := aliases[pattern]; ok {
		p.add(p.scope, Range{port, port})
		found = true
	}
	// Most names are registered for both transports, whatever is in use.
	if !found && !p.named(pattern, registered) {
		p.fail(offset, s, "unknown port name", "write the number")
	}
}

// named adds the ports of a table whose names match.
func (p *parser) named(pattern string, tableOf func(transport string) []entry) (found bool) {
	wild := strings.ContainsAny(pattern, "*?")
	for _, t := range []struct {
		transport string
		scope     scope
	}{{TCP, scopeTCP}, {UDP, scopeUDP}} {
		if p.scope&t.scope == 0 {
			continue
		}
		for _, e := range tableOf(t.transport) {
			fits := e.name == pattern
			if wild {
				fits, _ = path.Match(pattern, e.name)
			}
			if fits {
				p.add(t.scope, Range{e.port, e.port})
				found = true
			}
		}
	}
	return found
}

func (p *parser) add(s scope, r Range) {
	if s&scopeTCP != 0 {
		p.tcp = append(p.tcp, r)
	}
	if s&scopeUDP != 0 {
		p.udp = append(p.udp, r)
	}
}

// trim drops blanks around s and moves offset along.
func trim(offset int, s string) (int, string) {
	t := strings.TrimLeft(s, " \t")
	return offset + len(s) - len(t), strings.TrimRight(t, " \t")
}
