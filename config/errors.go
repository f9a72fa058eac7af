package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file. Line and Col count from 1, Col in bytes; a zero
// Line means the file as a whole.
type Pos struct {
	File      string
	Line, Col int
}

// String gives "file:line:col", or "file" without a line.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// An Error is one mistake in one place, with its remedy in the reason.
type Error struct {
	File      string
	Line, Col int
	Key       string // dotted, "" where no key is concerned
	Reason    string
}

// Error gives "file:line:col: key: reason".
func (e *Error) Error() string {
	at := Pos{e.File, e.Line, e.Col}.String()
	if e.Key == "" {
		return at + ": " + e.Reason
	}
	return at + ": " + e.Key + ": " + e.Reason
}

// Errors are all mistakes of one reading, in the order of file and place.
type Errors []*Error

// Error gives one mistake per line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the single mistakes.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// MaxErrors bounds how many mistakes are told: a file that has more of them
// is of another kind, and the first ones show it.
const MaxErrors = 200

// result sorts the mistakes; nil when there are none. Files keep the order in
// which they were read.
func (es Errors) result(files []string) error {
	if len(es) == 0 {
		return nil
	}
	rank := make(map[string]int, len(files))
	for i, f := range files {
		rank[f] = i
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(rank[a.File], rank[b.File]),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	if n := len(es); n > MaxErrors {
		last := es[MaxErrors-1]
		es = append(es[:MaxErrors:MaxErrors], &Error{File: last.File, Line: last.Line, Col: last.Col,
			Reason: fmt.Sprintf("and %d more mistakes; mend these first", n-MaxErrors)})
	}
	return es
}
