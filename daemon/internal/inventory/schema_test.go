package inventory

import (
	"regexp"
	"strings"
	"testing"
)

// TestStepsOnlyAdd: what an older program wrote stays where it was.
func TestStepsOnlyAdd(t *testing.T) {
	adds := regexp.MustCompile(`(?is)^(create (table|index|unique index) |` +
		`alter table [a-z_]+ add column [a-z_]+ [a-z]+ not null default |insert into )`)
	comment := regexp.MustCompile(`--[^\n]*`)
	for n, text := range migrations {
		for statement := range strings.SplitSeq(comment.ReplaceAllString(text, ""), ";") {
			statement = strings.TrimSpace(statement)
			if statement != "" && !adds.MatchString(statement) {
				t.Errorf("the step to schema %d does more than add: %.60q", n+1, statement)
			}
		}
	}
}
