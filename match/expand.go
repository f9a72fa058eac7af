package match

import (
	"bytes"
	"strconv"
	"strings"
)

// expand fills the templates of a rule from the match that sc's machine has
// just found in answer.
func (t *fieldTemplates) expand(sc *Scratch, answer []byte, service string) Identity {
	id := Identity{
		Service:  service,
		Product:  t.product.value(sc, answer),
		Version:  t.version.value(sc, answer),
		Info:     t.info.value(sc, answer),
		Hostname: t.hostname.value(sc, answer),
		OS:       t.os.value(sc, answer),
		Device:   t.device.value(sc, answer),
	}
	for _, c := range t.cpe {
		if v := c.value(sc, answer); v != "" {
			id.CPE = append(id.CPE, v)
		}
	}
	return id
}

// value gives the text of one field, "" if any part of it fails.
func (t *template) value(sc *Scratch, answer []byte) string {
	if t == nil {
		return ""
	}
	if len(t.parts) == 1 && t.parts[0].call == callNone {
		return t.fixed
	}
	buf := append(sc.buf[:0], t.prefix()...)
	for i := range t.parts {
		p := &t.parts[i]
		if p.call == callNone {
			buf = append(buf, p.text...)
			continue
		}
		group, ok := sc.machine.Group(answer, p.group)
		if !ok {
			return ""
		}
		start := len(buf)
		if buf, ok = p.append(buf, group); !ok {
			return ""
		}
		if t.cpe {
			buf = cleanCPE(buf, start)
		}
		if len(buf) > maxWork {
			return ""
		}
	}
	sc.buf = buf
	return string(t.finish(buf))
}

// maxWork is where the expansion of a field gives up: a value may be longer
// than its field until it is trimmed, but no honest one is longer than an
// answer. It bounds the buffer, which templates could otherwise fill with the
// same large group many times over.
const maxWork = MaxAnswer

// finish trims a value and makes it printable; too long is empty.
func (t *template) finish(buf []byte) []byte {
	buf = bytes.TrimRight(buf, ", \t\n\v\f\r")
	if len(buf) > t.max || len(buf) == len(t.prefix()) {
		return nil
	}
	for i, c := range buf {
		if !printable(c) {
			buf[i] = '.'
		}
	}
	return buf
}

func printable(c byte) bool { return ' ' <= c && c <= '~' }

// append adds what the call makes of its group.
func (p *part) append(buf, group []byte) ([]byte, bool) {
	switch p.call {
	case callGroup:
		return append(buf, cutNUL(group)...), true
	case callPrint:
		for _, c := range group {
			if printable(c) {
				buf = append(buf, c)
			}
		}
		return buf, true
	case callSubst:
		return p.substitute(buf, group), true
	case callInteger:
		return p.integer(buf, group)
	}
	return buf, true
}

func cutNUL(b []byte) []byte {
	before, _, _ := bytes.Cut(b, []byte{0})
	return before
}

// substitute replaces every occurrence. What comes out is cut at a NUL, like
// a plain group; so a NUL can be replaced before it cuts.
func (p *part) substitute(buf, group []byte) []byte {
	start := len(buf)
	for {
		i := bytes.Index(group, []byte(p.text))
		if i < 0 {
			break
		}
		buf = append(append(buf, group[:i]...), p.by...)
		group = group[i+len(p.text):]
	}
	buf = append(buf, group...)
	return buf[:start+len(cutNUL(buf[start:]))]
}

// maxInteger is how many bytes $I reads: those of a uint64.
const maxInteger = 8

func (p *part) integer(buf, group []byte) ([]byte, bool) {
	if len(group) > maxInteger {
		return buf, false
	}
	var v uint64
	for i := range group {
		c := group[i]
		if !p.bigFirst {
			c = group[len(group)-1-i]
		}
		v = v<<8 | uint64(c)
	}
	return strconv.AppendUint(buf, v, 10), true
}

// cpeReserved are the characters that a CPE writes as %XX.
const cpeReserved = `:/?#[]@!$&'()*+,;=%<>"`

// cleanCPE rewrites the substituted bytes from start on: reserved characters
// become %XX, white space becomes '_', letters lower case. Text of the
// template itself is taken as it stands.
func cleanCPE(buf []byte, start int) []byte {
	extra := 0
	for i, c := range buf[start:] {
		switch {
		case strings.IndexByte(cpeReserved, c) >= 0:
			extra += 2
		case c == ' ' || '\t' <= c && c <= '\r':
			buf[start+i] = '_'
		case 'A' <= c && c <= 'Z':
			buf[start+i] = c | 0x20
		}
	}
	if extra == 0 {
		return buf
	}
	// Fill from the end, so that nothing is overwritten before it is read.
	from := len(buf) - 1
	buf = append(buf, make([]byte, extra)...)
	const hex = "0123456789ABCDEF"
	for to := len(buf) - 1; from >= start; from-- {
		c := buf[from]
		if strings.IndexByte(cpeReserved, c) < 0 {
			buf[to] = c
			to--
			continue
		}
		buf[to-2], buf[to-1], buf[to] = '%', hex[c>>4], hex[c&15]
		to -= 3
	}
	return buf
}
