package match

import (
	"errors"
	"slices"

	"sonde/match/engine"
	"sonde/match/index"
	"sonde/match/syntax"
)

// A List is a compiled sequence of rules, in file order: those of one probe.
// It never changes, and any number of Sets may share it.
type List struct {
	rules    []Rule
	programs []*engine.Program // one for each rule
	fields   []fieldTemplates
	index    *index.Index
}

// CompileList compiles rules. Those that are good are kept in their order;
// for each other one the error, joined by errors.Join, holds a *RuleError.
// So the List is never nil, and the error says what it lacks.
func CompileList(rules []Rule) (*List, error) {
	l := &List{
		rules:    make([]Rule, 0, len(rules)),
		programs: make([]*engine.Program, 0, len(rules)),
		fields:   make([]fieldTemplates, 0, len(rules)),
	}
	var c compiler
	var errs []error
	for i := range rules {
		if err := l.add(&c, &rules[i]); err != nil {
			errs = append(errs, err)
		}
	}
	l.index = c.index.Build()
	return l, errors.Join(errs...)
}

// A compiler is what the rules of one list share while they are compiled.
type compiler struct {
	engine engine.Compiler
	index  index.Builder
}

func (l *List) add(c *compiler, r *Rule) error {
	flags := syntax.Flags{IgnoreCase: r.IgnoreCase, DotAll: r.DotAll}
	re, err := syntax.Parse(r.Pattern, flags)
	if err != nil {
		return patternError(r, err)
	}
	program, err := c.engine.Compile(re)
	if err != nil {
		return patternError(r, err)
	}
	fields, err := compileFields(&r.Fields)
	if err != nil {
		return &RuleError{Pos: r.Pos, Err: err}
	}
	own := *r
	own.Fields.CPE = slices.Clone(r.Fields.CPE)
	l.rules = append(l.rules, own)
	c.index.Add(index.FactsOf(re))
	l.programs = append(l.programs, program)
	l.fields = append(l.fields, fields)
	return nil
}

// patternError places an error at its column: that of the pattern, plus the
// offset in it where there is one.
func patternError(r *Rule, err error) error {
	pos := r.Pos
	pos.Col = r.PatternCol
	var se *syntax.Error
	if errors.As(err, &se) && pos.Col > 0 {
		pos.Col += se.Offset
	}
	return &RuleError{Pos: pos, Err: err}
}

// Len is the number of rules that compiled.
func (l *List) Len() int { return len(l.rules) }

// Rule gives rule i of those that compiled. It must not be changed.
func (l *List) Rule(i int) *Rule { return &l.rules[i] }

// Engine says how rule i is searched: onepass, automaton or backtrack, see the
// strategies of package engine.
func (l *List) Engine(i int) string { return l.programs[i].Strategy().String() }
