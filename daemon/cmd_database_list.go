package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sonde/probes"
)

// serviceRow is one line of `database list`.
type serviceRow struct {
	Service  string   `json:"service"`
	Lines    int      `json:"lines"`
	Versions int      `json:"version_lines"`
	Products []string `json:"products,omitempty"`
	Probes   []string `json:"probes"`
}

func newListCommand(from *databaseOrigin) *cobra.Command {
	var output string
	var engines, overlaps bool
	c := &cobra.Command{
		Use:   "list [FILE...]",
		Short: "List the services that the database knows, and count",
		Long: `Lists services with the number of lines and products, and what is asked for
them. The closing lines count the examples: those recorded from a server whose
package and version are named, those constructed, and the lines that have a
recorded one.`,
		Example: `  sonde database list -o json
  sonde database list --overlaps`,
		RunE: func(c *cobra.Command, files []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			if engines && overlaps {
				return usageError{fmt.Errorf("--engines and --overlaps exclude each other; give one")}
			}
			db, examples, err := from.load(files)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			if engines {
				return writeEngines(w, db)
			}
			if output == "json" && !overlaps {
				return writeServicesJSON(w, serviceRows(db))
			}
			if overlaps {
				return writeOverlaps(w, output, probes.Contests(db, examples))
			}
			return writeServices(w, serviceRows(db), db.Statistics(), countExamples(db, examples))
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().BoolVar(&engines, "engines", false, "list the lines instead, each with the engine that searches it")
	c.Flags().BoolVar(&overlaps, "overlaps", false, "list pairs of lines that match one example, and which wins")
	return c
}

// writeEngines lists which engine searches each line, and how many each has.
func writeEngines(w io.Writer, db *probes.Database) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "LINE\tPROBE\tENGINE\tID")
	counts := map[string]int{}
	for p := range db.Probes() {
		for r, engine := range p.Engines() {
			counts[engine]++
			fmt.Fprintf(t, "%v\t%s %s\t%s\t%s\n", r.Pos, p.Transport, p.Name, engine, r.ID)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var line strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&line, " %s=%d", name, counts[name])
	}
	_, err := fmt.Fprintf(w, "engines:%s unsupported=%d\n", &line, len(db.Unsupported))
	return err
}

// overlapRow is one pair of lines of `database list --overlaps`.
type overlapRow struct {
	Winner   string `json:"winner"`
	Other    string `json:"other"`
	Examples int    `json:"examples"`
	First    string `json:"first"` // where the first of them stands
}

func writeOverlaps(w io.Writer, output string, contests []probes.Contest) error {
	rows := make([]overlapRow, len(contests))
	examples := 0
	for i, o := range contests {
		rows[i] = overlapRow{Winner: o.Winner.Name(), Other: o.Other.Name(),
			Examples: len(o.Examples), First: o.Examples[0].Pos.String()}
		examples += len(o.Examples)
	}
	slices.SortStableFunc(rows, func(a, b overlapRow) int { return -cmp.Compare(a.Examples, b.Examples) })
	if output == "json" {
		enc := json.NewEncoder(w)
		for i := range rows {
			if err := enc.Encode(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WINS\tMATCHES TOO\tEXAMPLES\tFIRST")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", r.Winner, r.Other, r.Examples, r.First)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "overlaps: pairs=%d hits=%d\n", len(rows), examples)
	return err
}

func serviceRows(db *probes.Database) []serviceRow {
	byName := map[string]*serviceRow{}
	for p := range db.Probes() {
		for r := range p.Rules() {
			row := byName[r.Service]
			if row == nil {
				row = &serviceRow{Service: r.Service}
				byName[r.Service] = row
			}
			row.Lines++
			if r.Fields.Version != "" {
				row.Versions++
			}
			if f := r.Fields.Product; f != "" && !slices.Contains(row.Products, f) {
				row.Products = append(row.Products, f)
			}
			if name := string(p.Transport) + " " + p.Name; !slices.Contains(row.Probes, name) {
				row.Probes = append(row.Probes, name)
			}
		}
	}
	rows := make([]serviceRow, 0, len(byName))
	for _, row := range byName {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b serviceRow) int { return cmp.Compare(a.Service, b.Service) })
	return rows
}

func writeServicesJSON(w io.Writer, rows []serviceRow) error {
	enc := json.NewEncoder(w)
	for i := range rows {
		if err := enc.Encode(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// exampleCounts is how far the examples go.
type exampleCounts struct {
	all, real     int
	linesWithReal int // of those that are searched
}

func countExamples(db *probes.Database, examples []probes.Example) exampleCounts {
	n := exampleCounts{all: len(examples)}
	shown := map[string]bool{}
	for i := range examples {
		if examples[i].Real() {
			n.real++
			shown[examples[i].Rule] = true
		}
	}
	for r := range db.Rules() {
		if shown[r.Name()] {
			n.linesWithReal++
		}
	}
	return n
}

func writeServices(w io.Writer, rows []serviceRow, s probes.Statistics, n exampleCounts) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tLINES\tVERSIONS\tPRODUCTS\tPROBES")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\n", r.Service, r.Lines, r.Versions, len(r.Products),
			strings.Join(r.Probes, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	lines := s.Match + s.SoftMatch
	_, err := fmt.Fprintf(w, "examples: real=%d (%.1f %%) constructed=%d lines_with_real=%d (%.1f %%)\n"+
		"database: protocols=%d lines=%d products=%d examples=%d tcp_probes=%d udp_probes=%d\n",
		n.real, percent(n.real, n.all), n.all-n.real, n.linesWithReal, percent(n.linesWithReal, lines),
		s.Services, lines, s.Products, n.all, s.TCPProbes, s.UDPProbes)
	return err
}

func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
