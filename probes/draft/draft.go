// Package draft proposes a signature for an answer that no line explains: a
// match line, and the example that it must hit.
//
// A draft is for a person to finish. It keeps the answer's own form, replaces
// what changes from one server or hour to the next (versions, dates, names,
// addresses, numbers), and guesses the product from what stands before a
// version. Its pattern is anchored, bounded, matches the answer, and survives
// hostile answers: each byte of the answer is either a literal or part of a
// class.
package draft

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/grammar"
)

// What of an answer a draft looks at. A line of a greeting has 512 bytes at
// most (RFC 5321 section 4.5.3.1.5); the first bytes of a binary protocol are
// its frame.
const (
	maxText    = 512
	maxBinary  = 12
	maxExample = 2048 // bytes of the answer that the example keeps
)

// ErrExplained says that a line explains the answer already.
var ErrExplained = errors.New("a line explains the answer already")

// ErrEmpty says that there is no answer.
var ErrEmpty = errors.New("the answer is empty")

// An Answer is what a probe drew, and what is known of it.
type Answer struct {
	Transport probes.Transport
	Probe     string // a probe of the database
	Data      []byte
	Service   string // as a soft match or a person has it; "" to guess
	Source    string // where the answer is from, for the example
}

// A Signature is a draft: two texts for a probe file and its examples.
type Signature struct {
	Rule    match.Rule
	Probes  []byte // a Probe line of the database, and the match line
	Example []byte // the block for the example file
}

// New drafts a line for an answer, to lie over the database. It is checked:
// loaded before the database's own lines it explains the answer, with the
// fields that the example says.
func New(a Answer, sources ...probes.Source) (*Signature, error) {
	db, err := probes.Load(sources...)
	if err != nil {
		return nil, err
	}
	if len(a.Data) == 0 {
		return nil, ErrEmpty
	}
	p := db.Lookup(a.Transport, a.Probe)
	if p == nil {
		return nil, fmt.Errorf("draft: there is no probe %s %s", a.Transport, a.Probe)
	}
	a.Data = a.Data[:min(len(a.Data), maxExample)]
	known := p.Search().Match(match.NewScratch(), a.Data)
	if known.Rule != nil && !known.Rule.Soft {
		return nil, fmt.Errorf("draft: %w: %s", ErrExplained, known.Rule.Name())
	}
	if known.Rule != nil && a.Service == "" {
		a.Service = known.Rule.Service
	}
	r := ruleFor(&a, db)
	s := &Signature{Rule: r}
	if s.Probes, err = fragment(p, r); err != nil {
		return nil, err
	}
	return s, s.check(&a, sources)
}

// fragment is a probe file with one line.
func fragment(p *probes.Probe, r match.Rule) ([]byte, error) {
	g := &grammar.Probe{Protocol: strings.ToUpper(string(p.Transport)), Name: p.Name,
		Payload: p.Payload, NoPayload: p.NoPayload, Needs: p.Needs, WaitNull: p.WaitNull,
		Rules: []match.Rule{r}}
	text, err := g.AppendText(nil)
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	return text, nil
}

// check loads the draft over the sources, writes the example from what it
// says, and runs that.
func (s *Signature) check(a *Answer, sources []probes.Source) error {
	over := probes.Source{Name: "draft.probes", Data: s.Probes, Overlay: true}
	db, err := probes.Load(append([]probes.Source{over}, sources...)...)
	if err != nil {
		return fmt.Errorf("draft does not load: %w", err)
	}
	got := db.Lookup(a.Transport, a.Probe).Search().Match(match.NewScratch(), a.Data)
	if got.Rule == nil || got.Rule.ID != s.Rule.ID {
		return fmt.Errorf("draft: its pattern does not match its answer: %s", s.Rule.Pattern)
	}
	s.Example = exampleOf(a, &got)
	examples, err := probes.ParseExamples("draft.examples", s.Example)
	if err != nil {
		return fmt.Errorf("draft: %w", err)
	}
	if failures := probes.RunExamples(db, examples); len(failures) > 0 {
		return fmt.Errorf("draft: %v", &failures[0])
	}
	return nil
}

// exampleOf writes the example block of a search's result.
func exampleOf(a *Answer, got *match.Result) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "== %s\nprobe: %s %s\nsource: %s\n", got.Rule.ID, a.Transport, a.Probe, a.Source)
	for line := range bytes.Lines(a.Data) {
		fmt.Fprintf(&b, "answer: %s\n", quote(line))
	}
	id := &got.Identity
	for _, f := range [][2]string{{"service", id.Service}, {"product", id.Product},
		{"version", id.Version}, {"hostname", id.Hostname}} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
		}
	}
	return b.Bytes()
}

// quote gives a string in Go's syntax that is ASCII whatever the bytes are.
func quote(b []byte) string {
	out := []byte{'"'}
	for _, c := range b {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c < ' ' || c > '~':
			out = fmt.Appendf(out, `\x%02x`, c)
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}
