package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sonde/probes"
)

func newTestCommand(from *databaseOrigin) *cobra.Command {
	var coverage, mutate bool
	c := &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Run the examples of each signature against the whole database",
		Long: `Each example answer must hit exactly its line in the whole database, with
exactly its fields. The examples of NAME.probes stand in NAME.examples.`,
		Example: `  sonde database test builtin my.probes
  sonde database test --coverage my.probes`,
		RunE: func(c *cobra.Command, files []string) error {
			if coverage && mutate {
				return usageError{fmt.Errorf("--coverage and --mutate exclude each other; give one")}
			}
			db, examples, err := from.load(files)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			switch {
			case coverage:
				return testCoverage(w, db, examples)
			case mutate:
				return testWithout(w, db, examples)
			}
			return testExamples(w, db, examples)
		},
	}
	c.Flags().BoolVar(&coverage, "coverage", false,
		"list the lines without an example instead, and those with a version that have only one")
	c.Flags().BoolVar(&mutate, "mutate", false,
		"take each line away in turn and list which lines would explain its examples")
	return c
}

// testExamples ends with errSilent if an example fails or a line has none.
func testExamples(w io.Writer, db *probes.Database, examples []probes.Example) error {
	failures := probes.RunExamples(db, examples)
	for i := range failures {
		fmt.Fprintln(w, &failures[i])
	}
	without := probes.WithoutExample(db, examples)
	for _, r := range without {
		fmt.Fprintf(w, "%v: %s has no example\n", r.Pos, r.Name())
	}
	fmt.Fprintf(w, "test: examples=%d failed=%d lines_without=%d\n",
		len(examples), len(failures), len(without))
	if len(failures)+len(without) > 0 {
		return errSilent
	}
	return nil
}

// testCoverage ends with errSilent if a line has no example. One that tells a
// version needs a second to show that it reads it and does not know it.
func testCoverage(w io.Writer, db *probes.Database, examples []probes.Example) error {
	shown := map[string]int{}
	for i := range examples {
		shown[examples[i].Rule]++
	}
	lines, none, single := 0, 0, 0
	for r := range db.Rules() {
		lines++
		switch {
		case shown[r.Name()] == 0:
			none++
			fmt.Fprintf(w, "%v: %s has no example\n", r.Pos, r.Name())
		case shown[r.Name()] == 1 && strings.Contains(r.Fields.Version, "$"):
			single++
			fmt.Fprintf(w, "%v: %s tells a version and has one example\n", r.Pos, r.Name())
		}
	}
	fmt.Fprintf(w, "coverage: lines=%d lines_without=%d versions_with_one=%d\n", lines, none, single)
	if none > 0 {
		return errSilent
	}
	return nil
}

// testWithout tells what each line takes from the lines behind it: were it
// taken away, the next that matches would explain its examples. Where that one
// names another product, only the order of the two keeps the answer right.
func testWithout(w io.Writer, db *probes.Database, examples []probes.Example) error {
	var losses []probes.Contest
	contested := map[*probes.Example]bool{}
	for _, c := range probes.Contests(db, examples) {
		for _, e := range c.Examples {
			contested[e] = true
		}
		winner, other := c.Winner.Fields.Product, c.Other.Fields.Product
		if c.Next > 0 && other != "" && other != winner {
			losses = append(losses, c)
		}
	}
	slices.SortStableFunc(losses, func(a, b probes.Contest) int { return -cmp.Compare(a.Next, b.Next) })
	for _, l := range losses {
		fmt.Fprintf(w, "%v: %s would take %d of %s (%s, not %s)\n", l.Other.Pos, l.Other.Name(), l.Next,
			l.Winner.Name(), l.Other.Fields.Product, cmp.Or(l.Winner.Fields.Product, "no product"))
	}
	fmt.Fprintf(w, "mutate: examples=%d of_one_line=%d other_product=%d\n",
		len(examples), len(examples)-len(contested), len(losses))
	return nil
}
