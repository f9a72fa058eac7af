package data_test

import (
	"regexp"
	"slices"
	"strconv"
	"testing"

	"sonde/match/syntax"
)

var groupOf = regexp.MustCompile(`\$(?:P\(|SUBST\(|I\()?([1-9])`)

// TestVersionsEnd: what a line takes for a version has an end, as the product's
// versions have a form. A group that runs on takes in whatever stands behind.
func TestVersionsEnd(t *testing.T) {
	db, _ := load(t)
	checked := 0
	for r := range db.Rules() {
		for _, m := range groupOf.FindAllStringSubmatch(r.Fields.Version, -1) {
			re, err := syntax.Parse(r.Pattern, syntax.Flags{IgnoreCase: r.IgnoreCase, DotAll: r.DotAll})
			if err != nil {
				t.Fatal(err)
			}
			group, _ := strconv.Atoi(m[1])
			checked++
			if n := capture(re.Root, group); n == nil || endless(n) {
				t.Errorf("%v: %s: group %d, the version, has no end: %s", r.Pos, r.ID, group, r.Pattern)
			}
		}
	}
	if checked < 1000 {
		t.Errorf("only %d versions were looked at", checked)
	}
}

// capture finds a group by its number.
func capture(n *syntax.Node, group int) *syntax.Node {
	if n.Op == syntax.OpCapture && n.Group == group {
		return n
	}
	for _, sub := range n.Subs {
		if found := capture(sub, group); found != nil {
			return found
		}
	}
	return nil
}

// endless reports whether a part of n repeats without limit.
func endless(n *syntax.Node) bool {
	return n.Op == syntax.OpRepeat && n.Max == syntax.Infinite ||
		slices.ContainsFunc(n.Subs, endless)
}
