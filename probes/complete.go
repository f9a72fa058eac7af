package probes

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sonde/match"
	"sonde/probes/grammar"
)

// completeName is what positions call the source that [Complete] adds, and
// what the names of its probes begin with, which must not be those of others.
const completeName = "builtin"

// Complete adds to files of others what the program reads of some protocols by
// itself, as far as those files do not do without it: the built-in probes of
// which "# completes:" says so. They are asked at the ports that they list,
// after the probes of the others, and where a line of the others names such a
// service; see [Database.Completing]. Where a built-in file is among the sources,
// or an export of ours, they are there already.
//
// The reference reads the same protocols by programs of their own beside its
// database.
func Complete(sources []Source) ([]Source, error) {
	foreign := func(s Source) bool { return !s.Own && !s.Overlay }
	own := func(s Source) bool { return s.Own }
	if !slices.ContainsFunc(sources, foreign) || slices.ContainsFunc(sources, own) {
		return sources, nil
	}
	beside, err := completing()
	if err != nil {
		return nil, fmt.Errorf("built-in probes beside a database: %w", err)
	}
	if slices.ContainsFunc(beside.Probes, func(p *grammar.Probe) bool { return hasLineOf(sources, p) }) {
		return sources, nil
	}
	text, err := beside.AppendText(nil)
	if err != nil {
		return nil, fmt.Errorf("built-in probes beside a database: %w", err)
	}
	return append(slices.Clip(sources), Source{Name: completeName, Data: text, Own: true}), nil
}

// completing gives the built-in probes that complete, as their files have them.
func completing() (*grammar.File, error) {
	files, err := Builtin()
	if err != nil {
		return nil, err
	}
	out := &grammar.File{Name: completeName}
	for _, src := range files {
		f, err := grammar.Parse(src.Name, src.Data)
		if err != nil {
			return nil, err
		}
		for _, p := range f.Probes {
			if len(p.Completes) > 0 {
				out.Probes = append(out.Probes, alongside(p))
			}
		}
	}
	return out, nil
}

// hasLineOf reports whether a source has a line of ours, by its id.
func hasLineOf(sources []Source, p *grammar.Probe) bool {
	return slices.ContainsFunc(p.Rules, func(r match.Rule) bool {
		line := []byte("# id: " + r.ID + "\n")
		return slices.ContainsFunc(sources, func(s Source) bool { return bytes.Contains(s.Data, line) })
	})
}

// alongside makes a built-in probe one that is asked beside those of others: where
// it lists the port, and nowhere else. The NULL probe there is only one of.
func alongside(p *grammar.Probe) *grammar.Probe {
	if len(p.Payload) == 0 {
		return p
	}
	p.Name = completeName + ":" + p.Name
	p.Rarity = grammar.MaxRarity
	for i := range p.Fallbacks {
		p.Fallbacks[i].Name = completeName + ":" + p.Fallbacks[i].Name
	}
	return p
}

// Completing gives the probes that may tell more of an endpoint which rule, of a
// file of others, has identified: those of its transport that complete its
// service. Of what our own rules tell there is none: they tell it all.
func (db *Database) Completing(t Transport, rule *match.Rule) []*Probe {
	if db.own[rule.Pos.File] {
		return nil
	}
	service := strings.TrimPrefix(rule.Service, "ssl/")
	var out []*Probe
	for _, p := range db.probes {
		if p.Transport == t && !p.IsNull() && slices.Contains(p.completes, service) {
			out = append(out, p)
		}
	}
	return out
}
