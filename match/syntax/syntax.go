// Package syntax reads the regular expressions of service-probe files: it
// gives every pattern the meaning that PCRE2 gives it over bytes, or refuses
// it with the offset of what it does not know. It never guesses.
//
// Bytes are bytes: there is no UTF-8, letters are ASCII letters, and NUL is
// an ordinary character. Of PCRE2's options only caseless (flag i) and dotall
// (flag s) exist. There is no multi-line mode: '^' is the start of the
// subject, '$' its end or the place before one final line feed.
//
// The tree that Parse gives is not simplified beyond joining neighbouring
// literal bytes, so every node can still be traced to its place.
package syntax

import (
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped by the error for a construct that PCRE2 knows and
// this package does not: recursion, conditions, named references, Unicode
// properties, verbs, and the options m, n, x, J and U.
var ErrUnsupported = errors.New("not supported")

// ErrMatchesEmpty is the error for a pattern that can match the empty string:
// as a service rule it would match every answer.
var ErrMatchesEmpty = errors.New("the pattern can match the empty string")

// An Error says what is wrong with a pattern, and where.
type Error struct {
	Offset int    // bytes from the start of the pattern
	Reason string // for people, without position
	Err    error  // ErrUnsupported, ErrMatchesEmpty or nil
}

// Error gives the reason and the offset.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s (at offset %d)", e.Reason, e.Offset)
	}
	if e.Reason == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v (at offset %d)", e.Reason, e.Err, e.Offset)
}

// Unwrap gives the sentinel, so that errors.Is can decide by it.
func (e *Error) Unwrap() error { return e.Err }

// MaxDepth is how deep groups may nest. PCRE2 has the same limit; the deepest
// pattern in public probe files nests 7 deep. It bounds the recursion of every
// walk over a tree.
const MaxDepth = 250

// MaxRepeat is the largest number in a counted quantifier, as in PCRE2.
const MaxRepeat = 65535

// Flags are the options that a pattern starts with.
type Flags struct {
	IgnoreCase bool // i: ASCII letters match in both cases
	DotAll     bool // s: '.' matches a line feed too
}

// A Regexp is a parsed pattern.
type Regexp struct {
	Root   *Node
	Groups int // number of capture groups, without the whole match
	MinLen int // no subject part shorter than this can match; at least 1
}

// Parse reads one pattern. The error, if any, is an *Error.
func Parse(pattern string, flags Flags) (*Regexp, error) {
	p := parser{src: pattern, flags: flags}
	root, err := p.alternation()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.src) {
		return nil, p.errorf(p.pos, "unmatched closing parenthesis")
	}
	if p.maxRef > p.groups {
		return nil, p.errorf(p.maxRefPos, "reference to group %d, which does not exist", p.maxRef)
	}
	re := &Regexp{Root: root, Groups: p.groups, MinLen: minLen(root, make(map[int]int))}
	if re.MinLen == 0 {
		return nil, &Error{Err: ErrMatchesEmpty}
	}
	return re, nil
}
