package grammar

import (
	"strings"

	"sonde/match"
)

// An Error is one mistake in a probe file.
type Error struct {
	Pos    match.Position
	Reason string // what is wrong and, where that is not plain, what to write
}

// Error gives "file:line:column: reason".
func (e *Error) Error() string { return e.Pos.String() + ": " + e.Reason }

// Errors are all mistakes of a file, in the order in which they stand.
type Errors []*Error

// Error gives one mistake a line.
func (l Errors) Error() string {
	var b strings.Builder
	for i, e := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap gives the errors one by one to package errors.
func (l Errors) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}
