package match

import (
	"errors"
	"fmt"

	"sonde/match/engine"
	"sonde/match/syntax"
)

// Errors that a *RuleError can wrap.
var (
	// ErrUnsupported marks a pattern that PCRE2 would take and this package
	// does not.
	ErrUnsupported = syntax.ErrUnsupported
	// ErrMatchesEmpty marks a pattern that can match the empty string.
	ErrMatchesEmpty = syntax.ErrMatchesEmpty
	// ErrTooLarge marks a pattern whose compiled form exceeds the limits.
	ErrTooLarge = engine.ErrTooLarge
	// ErrTemplate marks a field that cannot be expanded, whatever the answer.
	ErrTemplate = errors.New("bad template")
)

// A RuleError says why a rule was left out, and where the reason stands.
type RuleError struct {
	Pos Position
	Err error // *syntax.Error, or one that wraps ErrTooLarge or ErrTemplate
}

// Error gives "file:line:column: reason".
func (e *RuleError) Error() string { return fmt.Sprintf("%v: %v", e.Pos, e.Err) }

// Unwrap gives the reason.
func (e *RuleError) Unwrap() error { return e.Err }
