package grammar

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"sonde/probes/ports"
)

// excludeLine reads what follows "Exclude ".
func (p *parser) excludeLine(c *cursor) {
	switch {
	case p.probe != nil:
		p.fail(0, "Exclude after the first Probe line: it stands before all probes")
		return
	case p.exclude != 0:
		p.fail(0, "second Exclude: the first is in line %d", p.exclude)
		return
	}
	p.exclude = p.line
	list, err := ports.Parse(c.rest())
	p.failPorts(c.off, err)
	p.file.Exclude = list
}

func (p *parser) failPorts(offset int, err error) {
	list, _ := errors.AsType[ports.ParseErrors](err)
	for _, e := range list {
		p.fail(offset+e.Offset, "%q: %s; %s", e.Item, e.Reason, e.Remedy)
	}
}

// setting reads one setting of the current probe; it tells whether there is
// one called word. Without an argument it reads nothing.
func (p *parser) setting(word string, c *cursor, argument bool) bool {
	var read func(*cursor)
	switch word {
	case "ports":
		read = func(c *cursor) { p.portsLine(c, &p.probe.Ports) }
	case "sslports":
		read = func(c *cursor) { p.portsLine(c, &p.probe.TLSPorts) }
	case "rarity":
		read = p.rarityLine
	case "totalwaitms":
		read = func(c *cursor) { p.waitLine(c, &p.probe.TotalWait) }
	case "tcpwrappedms":
		read = func(c *cursor) { p.waitLine(c, &p.probe.TCPWrapped) }
	case "fallback":
		read = p.fallbackLine
	default:
		return false
	}
	if argument && p.needProbe(word) {
		read(c)
	}
	return true
}

func (p *parser) portsLine(c *cursor, set *ports.Set) {
	more, err := ports.ParseNumbers(c.rest())
	p.failPorts(c.off, err)
	*set = set.Union(more)
}

// number reads the one number that is the whole argument.
func (p *parser) number(c *cursor, least, most int, unit string) (int, bool) {
	c.skipBlanks()
	s := strings.TrimRight(c.rest(), " \t")
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most || !isDigit(s[0]) {
		p.fail(c.off, "%q: want a number%s from %d to %d", s, unit, least, most)
		return 0, false
	}
	return n, true
}

func (p *parser) rarityLine(c *cursor) {
	if n, ok := p.number(c, MinRarity, MaxRarity, ""); ok {
		p.probe.Rarity = n
	}
}

func (p *parser) waitLine(c *cursor, d *time.Duration) {
	n, ok := p.number(c, int(MinWait.Milliseconds()), int(MaxWait.Milliseconds()),
		" of milliseconds")
	if ok {
		*d = time.Duration(n) * time.Millisecond
	}
}

// fallbackLine reads names separated by commas or blanks. As with all
// settings but ports, a later line replaces an earlier one.
func (p *parser) fallbackLine(c *cursor) {
	var list []Fallback
	for start := c.off; start < len(c.text); {
		if isListSeparator(rune(c.text[start])) {
			start++
			continue
		}
		end := start
		for end < len(c.text) && !isListSeparator(rune(c.text[end])) {
			end++
		}
		name := c.text[start:end]
		switch {
		case len(list) == MaxFallbacks:
			p.fail(start, "fallback %q: at most %d names are allowed", name, MaxFallbacks)
			end = len(c.text)
		case !isWord(name):
			p.fail(start, "bad probe name %q: only visible ASCII characters are allowed", name)
		default:
			list = append(list, Fallback{name, p.at(start + 1)})
		}
		start = end
	}
	if len(list) == 0 {
		p.fail(c.off, "fallback: the names of probes are missing")
		return
	}
	p.probe.Fallbacks = list
}
