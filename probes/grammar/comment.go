package grammar

import "strings"

// pending is what comment lines say about the line that is to follow.
type pending struct {
	id, outcome note // of a match line
	// Of a Probe line:
	needs, wait, completes note
	permissions            Needs
	services               []string // that it completes
}

// A note is the text of a meaningful comment and where it stands; line 0
// means that there is none.
type note struct {
	text      string
	line, off int
}

func (p *parser) comment(s string) {
	for _, form := range []struct {
		prefix string
		take   func(note)
	}{
		{"# id:", p.takeID},
		{"# outcome:", p.takeOutcome},
		{"# needs:", p.takeNeeds},
		{"# wait:", p.takeWait},
		{"# completes:", p.takeCompletes},
	} {
		text, ok := strings.CutPrefix(s, form.prefix)
		if !ok {
			continue
		}
		trimmed := strings.TrimLeft(text, " \t")
		form.take(note{strings.TrimRight(trimmed, " \t"), p.line, len(s) - len(trimmed)})
	}
}

func (p *parser) takeID(n note) {
	switch {
	case p.pending.id.line != 0:
		p.fail(n.off, "second id for one line: the first is %q in line %d",
			p.pending.id.text, p.pending.id.line)
	case !isID(n.text):
		p.fail(n.off, "bad id %q: want lower-case letters, digits, '.', '_' and '-', "+
			"first a letter or digit", n.text)
	default:
		p.pending.id = n
	}
}

func (p *parser) takeOutcome(n note) {
	switch {
	case n.text != outcomeBlocked:
		p.fail(n.off, "unknown outcome %q: want %s", n.text, outcomeBlocked)
	case p.pending.outcome.line != 0:
		p.fail(n.off, "second outcome for one line: the first is in line %d", p.pending.outcome.line)
	default:
		p.pending.outcome = n
	}
}

func (p *parser) takeNeeds(n note) {
	needs, err := parseNeeds(n.text)
	if err != nil {
		p.fail(n.off, "%v", err)
		return
	}
	p.pending.needs = n
	p.pending.permissions |= needs
}

func (p *parser) takeWait(n note) {
	if n.text != "null" {
		p.fail(n.off, "unknown wait %q: want null", n.text)
		return
	}
	p.pending.wait = n
}

func (p *parser) takeCompletes(n note) {
	services := strings.FieldsFunc(n.text, isListSeparator)
	if len(services) == 0 {
		p.fail(n.off, "completes nothing: want names of services")
		return
	}
	p.pending.completes = n
	p.pending.services = append(p.pending.services, services...)
}

// takePending hands out what the comments said about a match line or, if
// probe is true, about a Probe line, and reports what does not fit it.
func (p *parser) takePending(probe bool) pending {
	got := p.pending
	if probe {
		p.pending = pending{id: got.id, outcome: got.outcome}
	} else {
		p.pending = pending{needs: got.needs, wait: got.wait, completes: got.completes}
	}
	p.dropPending()
	return got
}

// dropPending reports comments that nothing they could be about follows.
func (p *parser) dropPending() {
	for _, t := range []struct {
		note  note
		wants string
	}{
		{p.pending.id, "# id: no match or softmatch line follows"},
		{p.pending.outcome, "# outcome: no match or softmatch line follows"},
		{p.pending.needs, "# needs: no Probe line follows"},
		{p.pending.wait, "# wait: no Probe line follows"},
		{p.pending.completes, "# completes: no Probe line follows"},
	} {
		if t.note.line == 0 {
			continue
		}
		pos := p.at(t.note.off + 1)
		pos.Line = t.note.line
		p.errs = append(p.errs, &Error{pos, t.wants})
	}
	p.pending = pending{}
}

// isID tells whether s may name a rule.
func isID(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', isDigit(c):
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return s != ""
}
