package grammar

import (
	"strconv"
	"strings"
)

// probeLine reads what follows "Probe ". A probe whose line is bad collects
// the lines that belong to it, but is not part of the file.
func (p *parser) probeLine(c *cursor) {
	notes := p.takePending(true)
	p.probe = &Probe{
		Pos:      p.at(0),
		Needs:    notes.permissions,
		WaitNull: notes.wait.line != 0,

		Completes: notes.services,
	}
	if p.probeHead(c) && p.probeString(c) {
		p.probeFlags(c)
		p.file.Probes = append(p.file.Probes, p.probe)
	}
}

func (p *parser) probeHead(c *cursor) bool {
	var at int
	switch p.probe.Protocol, at = c.word(); p.probe.Protocol {
	case TCP, UDP:
	default:
		p.fail(at, "unknown protocol %q: want TCP or UDP", p.probe.Protocol)
		return false
	}
	name, at := c.word()
	switch {
	case name == "":
		p.fail(at, "Probe: the name is missing")
		return false
	case !isLetter(name[0]) && !isDigit(name[0]):
		p.fail(at, "bad probe name %q: it begins with a letter or digit", name)
		return false
	case !isWord(name):
		p.fail(at, "bad probe name %q: only visible ASCII characters are allowed", name)
		return false
	}
	p.probe.Name = name
	return true
}

func (p *parser) probeString(c *cursor) bool {
	c.skipBlanks()
	if c.atEnd() || c.text[c.off] != 'q' {
		p.fail(c.off, "Probe: want the probe string as q|…|")
		return false
	}
	c.off++
	s, at, err := c.delimited()
	if err != nil {
		p.fail(at, "probe string: %v", err)
		return false
	}
	payload, bad, err := unescape(s)
	if err != nil {
		p.fail(at+bad, "probe string: %v", err)
		return false
	}
	if len(payload) == 0 && p.probe.Protocol == UDP {
		p.fail(at, "empty probe string: a UDP probe must send something")
		return false
	}
	p.probe.Payload = payload
	return true
}

// probeFlags reads the flags. A bad one does not spoil the probe.
func (p *parser) probeFlags(c *cursor) {
	if !c.atEnd() && !isBlank(c.text[c.off]) {
		p.fail(c.off, "Probe: want a blank after the probe string")
		return
	}
	for {
		flag, at := c.word()
		source, isSource := strings.CutPrefix(flag, "source=")
		switch {
		case flag == "":
			return
		case flag == "no-payload":
			p.probe.NoPayload = true
		case isSource:
			n, err := strconv.ParseUint(source, 10, 16)
			if err != nil || n == 0 {
				p.fail(at, "bad source port %q: want 1 to 65535", source)
				continue
			}
			p.probe.SourcePort = uint16(n)
		default:
			p.fail(at, "unknown probe flag %q: want no-payload or source=N", flag)
		}
	}
}
