package probes

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"sonde/match"
	"sonde/probes/grammar"
)

// Class says what a Problem means for the database.
type Class string

// The classes of problems.
const (
	Mistake     Class = "error"       // the line is wrong and was left out
	Unsupported Class = "unsupported" // nmap would take the pattern, we do not yet
	Overlap     Class = "overlap"     // an earlier line hides this one
	Doubt       Class = "doubt"       // allowed, but hardly what was meant
)

// A Problem is something wrong or odd in a probe file.
type Problem struct {
	Pos   match.Position
	Class Class
	Text  string // what it is; one line
	Err   error  // the cause, if there is one to tell apart by package errors
}

// Error gives "file:line:column: text".
func (p *Problem) Error() string { return p.Pos.String() + ": " + p.Text }

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Problems are several, in the order of their files and lines.
type Problems []*Problem

// Error gives one problem a line.
func (l Problems) Error() string {
	lines := make([]string, len(l))
	for i, p := range l {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the problems one by one to package errors.
func (l Problems) Unwrap() []error {
	out := make([]error, len(l))
	for i, p := range l {
		out[i] = p
	}
	return out
}

// Count tells how many problems are of a class.
func (l Problems) Count(c Class) int {
	n := 0
	for _, p := range l {
		if p.Class == c {
			n++
		}
	}
	return n
}

// A collector gathers problems of several files.
type collector struct {
	order map[string]int // of the files
	list  Problems
}

func newCollector(sources []Source) *collector {
	c := &collector{order: make(map[string]int, len(sources))}
	for i, s := range sources {
		if _, ok := c.order[s.Name]; !ok {
			c.order[s.Name] = i
		}
	}
	return c
}

func (c *collector) add(class Class, pos match.Position, text string) {
	c.list = append(c.list, &Problem{Pos: pos, Class: class, Text: text})
}

// addGrammar takes over what [grammar.Parse] reported.
func (c *collector) addGrammar(err error) {
	list, _ := errors.AsType[grammar.Errors](err)
	for _, e := range list {
		c.list = append(c.list, &Problem{Pos: e.Pos, Class: Mistake, Text: e.Reason, Err: e})
	}
}

// addRules takes over what [match.CompileList] reported.
func (c *collector) addRules(err error) {
	if err == nil {
		return
	}
	for _, one := range flatten(err) {
		p := &Problem{Class: Mistake, Text: one.Error(), Err: one}
		if re, ok := errors.AsType[*match.RuleError](one); ok {
			p.Pos, p.Text = re.Pos, re.Err.Error()
			p.Pos.Col = max(p.Pos.Col, 1) // what is wrong with a template concerns its whole line
		}
		if errors.Is(one, match.ErrUnsupported) {
			p.Class = Unsupported
		}
		c.list = append(c.list, p)
	}
}

// flatten undoes errors.Join.
func flatten(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// take hands out the problems of the classes, sorted, and keeps the others.
func (c *collector) take(classes ...Class) Problems {
	var out, rest Problems
	for _, p := range c.list {
		if slices.Contains(classes, p.Class) {
			out = append(out, p)
		} else {
			rest = append(rest, p)
		}
	}
	c.list = rest
	slices.SortStableFunc(out, func(a, b *Problem) int {
		return cmp.Or(
			cmp.Compare(c.order[a.Pos.File], c.order[b.Pos.File]),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col),
		)
	})
	return out
}
