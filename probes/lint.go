package probes

import (
	"fmt"
	"slices"
	"strings"

	"sonde/match"
)

// Lint reads probe files as [Load] does and gives all that is wrong or odd in
// them: mistakes, unsupported patterns, rules that can never win because an
// earlier one of the same probe hides them, refusals that tell too much, and
// doubtful settings.
//
// Of hidden rules it finds what can be told from the text: a pattern that is
// repeated, and one that begins with the whole of an earlier plain text. What
// else collides, only example answers show.
func Lint(sources ...Source) Problems {
	db, c := load(sources, nil)
	for _, p := range db.probes {
		lintOverlaps(p, c)
		lintRefusals(p, c)
	}
	return c.take(Mistake, Unsupported, Overlap, Doubt)
}

// lintRefusals reports lines for refusals that tell more than who refuses. A
// refusal stands for no identity, so whatever else it says would be lost.
func lintRefusals(p *Probe, c *collector) {
	for r := range p.Rules() {
		f := &r.Fields
		if r.Blocked && (f.Version != "" || f.OS != "" || f.Device != "") {
			c.add(Doubt, r.Pos, "outcome: blocked on a line that tells a version, "+
				"an operating system or a device: a server that tells them does not refuse us")
		}
	}
}

// plainTexts are the patterns seen so far that match one fixed text at the
// beginning of an answer.
type plainTexts struct {
	rules   map[string]*match.Rule
	lengths []int // of the keys, ascending
}

func lintOverlaps(p *Probe, c *collector) {
	seen := map[string]*match.Rule{}
	plain := plainTexts{rules: map[string]*match.Rule{}}
	for r := range p.Rules() {
		key := flagsOf(r) + r.Pattern
		if first, ok := seen[key]; ok {
			reportHidden(c, r, first, "has the same pattern")
			continue
		}
		seen[key] = r
		if first := plain.hiding(key); first != nil {
			reportHidden(c, r, first, "matches all that this one matches")
		}
		if isPlain(r.Pattern) {
			plain.add(key, r)
		}
	}
}

func reportHidden(c *collector, r, first *match.Rule, why string) {
	pos := r.Pos
	pos.Col = r.PatternCol
	kind := "match"
	if first.Soft {
		kind = "softmatch"
	}
	c.add(Overlap, pos, fmt.Sprintf("never wins: the %s line %v before it %s", kind, first.Pos, why))
}

func flagsOf(r *match.Rule) string {
	flags := ""
	if r.IgnoreCase {
		flags += "i"
	}
	if r.DotAll {
		flags += "s"
	}
	return flags + "/"
}

func (t *plainTexts) add(key string, r *match.Rule) {
	t.rules[key] = r
	if i, found := slices.BinarySearch(t.lengths, len(key)); !found {
		t.lengths = slices.Insert(t.lengths, i, len(key))
	}
}

// hiding finds an earlier plain text that the pattern of key begins with.
func (t *plainTexts) hiding(key string) *match.Rule {
	if strings.Contains(key, "|") {
		return nil // an alternative may begin otherwise
	}
	for _, n := range t.lengths {
		if n >= len(key) {
			return nil
		}
		// A quantifier would make the last byte of the text optional, a digit
		// could belong to an octal escape.
		if next := key[n]; strings.IndexByte("*?{+", next) >= 0 || '0' <= next && next <= '7' {
			continue
		}
		if first := t.rules[key[:n]]; first != nil {
			return first
		}
	}
	return nil
}

// isPlain tells whether a pattern is '^' and a fixed text.
func isPlain(pattern string) bool {
	if len(pattern) < 2 || pattern[0] != '^' {
		return false
	}
	for i := 1; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c != '\\':
			if strings.IndexByte(".[](){}*+?|^$", c) >= 0 {
				return false
			}
		case i+1 == len(pattern):
			return false
		default:
			i++
			e := pattern[i]
			letter := 'a' <= e && e <= 'z' || 'A' <= e && e <= 'Z' || '1' <= e && e <= '9'
			if letter && strings.IndexByte("nrtx", e) < 0 {
				return false
			}
		}
	}
	return true
}
