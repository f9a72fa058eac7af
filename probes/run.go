package probes

import (
	"fmt"
	"slices"
	"strings"

	"sonde/match"
)

// A Failure is an example that the database does not explain as it must.
type Failure struct {
	Example *Example
	Got     match.Result // what the search gave; zero if there was none
	Reasons []string     // what is wrong, one line each
}

// String gives the failure with its position, one line a reason.
func (f *Failure) String() string {
	return fmt.Sprintf("%v: example of %s: %s", f.Example.Pos, f.Example.Rule,
		strings.Join(f.Reasons, "\n\t"))
}

// RunExamples searches the whole database for each example, as for an answer
// to its probe, and gives those that do not hit exactly their rule with
// exactly their fields.
func RunExamples(db *Database, examples []Example) []Failure {
	known := make(map[string]bool)
	for r := range db.Rules() {
		known[r.Name()] = true
	}
	var failures []Failure
	scratch := match.NewScratch()
	for i := range examples {
		e := &examples[i]
		f := Failure{Example: e}
		if p := db.Lookup(e.Transport, e.Probe); p == nil {
			f.Reasons = append(f.Reasons, fmt.Sprintf("there is no probe %s %s", e.Transport, e.Probe))
		} else {
			f.Got = p.Search().Match(scratch, e.Answer)
			f.Reasons = e.check(f.Got)
		}
		if !known[e.Rule] {
			f.Reasons = append(f.Reasons, "there is no such rule that is searched")
		}
		if len(f.Reasons) > 0 {
			failures = append(failures, f)
		}
	}
	return failures
}

// check compares a result with what the example wants.
func (e *Example) check(got match.Result) (reasons []string) {
	for _, r := range got.Undecided {
		reasons = append(reasons, "a limit was reached at rule "+r.Name())
	}
	if got.Rule == nil {
		return append(reasons, "no rule matches")
	}
	if name := got.Rule.Name(); name != e.Rule {
		return append(reasons, fmt.Sprintf("won by %s (%v): %v", name, got.Rule.Pos, &got.Identity))
	}
	if got.Rule.Soft != e.Soft {
		reasons = append(reasons, fmt.Sprintf("soft is %v, want %v", got.Rule.Soft, e.Soft))
	}
	if got.Rule.Blocked != e.Blocked {
		reasons = append(reasons, fmt.Sprintf("blocked is %v, want %v", got.Rule.Blocked, e.Blocked))
	}
	want := e.Want
	for _, name := range identityFields {
		if g, w := *fieldNamed(&got.Identity, name), *fieldNamed(&want, name); g != w {
			reasons = append(reasons, fmt.Sprintf("%s is %q, want %q", name, g, w))
		}
	}
	if !slices.Equal(got.Identity.CPE, want.CPE) {
		reasons = append(reasons, fmt.Sprintf("cpe is %q, want %q", got.Identity.CPE, want.CPE))
	}
	return reasons
}

// WithoutExample gives the rules that no example is for.
func WithoutExample(db *Database, examples []Example) []*match.Rule {
	shown := make(map[string]bool, len(examples))
	for i := range examples {
		shown[examples[i].Rule] = true
	}
	var out []*match.Rule
	for r := range db.Rules() {
		if !shown[r.Name()] {
			out = append(out, r)
		}
	}
	return out
}
