package grammar

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sonde/match"
	"sonde/probes/ports"
)

// AppendText appends the file in its own format. Parsed again it is the same
// File, apart from positions; comments without meaning and the layout are
// lost. It fails on what no line can hold: a text in which every possible
// delimiter occurs, a line break or NUL in a pattern, a line longer than
// [MaxLine].
func (f *File) AppendText(b []byte) ([]byte, error) {
	var err error
	if !f.Exclude.IsEmpty() {
		if b, err = appendLine(b, "Exclude "+f.Exclude.String()); err != nil {
			return b, fmt.Errorf("print %s: Exclude: %w", f.Name, err)
		}
	}
	for i, p := range f.Probes {
		if i > 0 || len(b) > 0 {
			b = append(b, '\n')
		}
		if b, err = p.AppendText(b); err != nil {
			return b, fmt.Errorf("print %s: probe %s: %w", f.Name, p.Name, err)
		}
	}
	return b, nil
}

// AppendText appends the Probe line and all that belongs to it.
func (p *Probe) AppendText(b []byte) ([]byte, error) {
	if p.Needs != 0 {
		b = append(b, "# needs: "+p.Needs.String()+"\n"...)
	}
	if p.WaitNull {
		b = append(b, "# wait: null\n"...)
	}
	if len(p.Completes) > 0 {
		b = append(b, "# completes: "+strings.Join(p.Completes, ", ")+"\n"...)
	}
	b, err := appendLine(b, p.headLine())
	if err != nil {
		return b, err
	}
	if b, err = p.appendSettings(b); err != nil {
		return b, err
	}
	for i := range p.Rules {
		if b, err = appendRule(b, &p.Rules[i]); err != nil {
			return b, fmt.Errorf("rule %s: %w", p.Rules[i].Name(), err)
		}
	}
	return b, nil
}

func (p *Probe) headLine() string {
	line := p.headLineWith('|', false)
	if len(line) <= MaxLine {
		return line
	}
	best := byte('|')
	for d := byte('!'); d <= '~'; d++ {
		if !isLetter(d) && !isDigit(d) && d != '\\' &&
			bytes.Count(p.Payload, []byte{d}) < bytes.Count(p.Payload, []byte{best}) {
			best = d
		}
	}
	return p.headLineWith(best, true)
}

func (p *Probe) headLineWith(delim byte, compact bool) string {
	b := []byte("Probe " + p.Protocol + " " + p.Name + " q")
	b = append(b, delim)
	b = appendEscaped(b, p.Payload, delim, compact)
	b = append(b, delim)
	if p.NoPayload {
		b = append(b, " no-payload"...)
	}
	if p.SourcePort != 0 {
		b = append(b, " source="...)
		b = strconv.AppendUint(b, uint64(p.SourcePort), 10)
	}
	return string(b)
}

func (p *Probe) appendSettings(b []byte) ([]byte, error) {
	b = appendPorts(b, "ports", p.Ports)
	b = appendPorts(b, "sslports", p.TLSPorts)
	for _, t := range []struct {
		word string
		n    int64
	}{
		{"rarity", int64(p.Rarity)},
		{"totalwaitms", int64(p.TotalWait / time.Millisecond)},
		{"tcpwrappedms", int64(p.TCPWrapped / time.Millisecond)},
	} {
		if t.n != 0 {
			b = fmt.Appendf(b, "%s %d\n", t.word, t.n)
		}
	}
	if len(p.Fallbacks) == 0 {
		return b, nil
	}
	names := make([]string, len(p.Fallbacks))
	for i, f := range p.Fallbacks {
		names[i] = f.Name
	}
	return appendLine(b, "fallback "+strings.Join(names, ","))
}

// appendPorts writes as many lines as the set needs: they add up.
func appendPorts(b []byte, word string, set ports.Set) []byte {
	const longest = len(",65534-65535")
	start := len(b)
	for r := range set.Ranges() {
		switch {
		case len(b) == start:
			b = append(b, word+" "...)
		case len(b)-start+longest > MaxLine:
			b = append(b, '\n')
			start = len(b)
			b = append(b, word+" "...)
		default:
			b = append(b, ',')
		}
		b, _ = ports.OfRanges(r).AppendText(b)
	}
	if len(b) > start {
		b = append(b, '\n')
	}
	return b
}

func appendRule(b []byte, r *match.Rule) ([]byte, error) {
	if r.ID != "" {
		b = append(b, "# id: "+r.ID+"\n"...)
	}
	if r.Blocked {
		b = append(b, "# outcome: "+outcomeBlocked+"\n"...)
	}
	word := "match "
	if r.Soft {
		word = "softmatch "
	}
	line, err := appendDelimited([]byte(word+r.Service+" m"), r.Pattern, "|=%@#!~;,/")
	if err != nil {
		return b, err
	}
	if r.IgnoreCase {
		line = append(line, 'i')
	}
	if r.DotAll {
		line = append(line, 's')
	}
	for _, letter := range []byte("pvihod") {
		text := *fieldOf(&r.Fields, letter)
		if text == "" {
			continue
		}
		if line, err = appendDelimited(append(line, ' ', letter), text, "/|=%@#!~;,"); err != nil {
			return b, err
		}
	}
	for _, cpe := range r.Fields.CPE {
		if line, err = appendDelimited(append(line, " cpe:"...), cpe.Text, "/|=%@#!~;,"); err != nil {
			return b, err
		}
		line = append(line, cpe.Flags...)
	}
	return appendLine(b, string(line))
}

// appendDelimited writes text between two bytes that do not occur in it: the
// first that fits of preferred, or else any.
func appendDelimited(b []byte, text, preferred string) ([]byte, error) {
	if i := strings.IndexAny(text, "\x00\n"); i >= 0 {
		return b, fmt.Errorf("%q cannot stand in a line", text[i])
	}
	delim := byte(0)
	for i := 0; i < len(preferred) && delim == 0; i++ {
		if strings.IndexByte(text, preferred[i]) < 0 {
			delim = preferred[i]
		}
	}
	for d := 0xff; d > 0 && delim == 0; d-- {
		if isDelimiter(byte(d)) && strings.IndexByte(text, byte(d)) < 0 {
			delim = byte(d)
		}
	}
	if delim == 0 {
		return b, fmt.Errorf("every possible delimiter occurs in %.40q", text)
	}
	b = append(b, delim)
	b = append(b, text...)
	return append(b, delim), nil
}

func appendLine(b []byte, line string) ([]byte, error) {
	if len(line) > MaxLine {
		return b, fmt.Errorf("line of %d bytes: at most %d are allowed", len(line), MaxLine)
	}
	return append(append(b, line...), '\n'), nil
}
