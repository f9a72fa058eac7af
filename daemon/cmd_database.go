package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sonde/config"
	"sonde/probes"
)

func newDatabaseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "database",
		Short: "Check, list and test service-probe files",
		Long: `Probe files are in the grammar of nmap's service-probe file. Without FILE the
commands look at the built-in database; "builtin" names it beside other files.`,
		Example: "  sonde database lint my.probes",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLintCommand(), newListCommand(), newTestCommand())
	return c
}

func newLintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lint [FILE...]",
		Short: "Print every mistake with file:line:column and reason",
		Long: `Reads probe files and prints all that is wrong or odd in one run: mistakes,
patterns that are not supported, lines that never win, doubtful settings. It
ends with 1 if there are mistakes.`,
		Example: "  sonde database lint my.probes",
		RunE: func(c *cobra.Command, files []string) error {
			sources, err := databaseSources(files)
			if err != nil {
				return err
			}
			problems := probes.Lint(sources...)
			w := c.OutOrStdout()
			for _, p := range problems {
				fmt.Fprintf(w, "%v: %s: %s\n", p.Pos, p.Class, p.Text)
			}
			db, _ := probes.Load(sources...) // its mistakes are among the problems
			s := db.Statistics()
			fmt.Fprintf(w, "lint: files=%d probes=%d match=%d softmatch=%d errors=%d unsupported=%d overlaps=%d doubts=%d\n",
				len(sources), s.TCPProbes+s.UDPProbes, s.Match, s.SoftMatch,
				problems.Count(probes.Mistake), problems.Count(probes.Unsupported),
				problems.Count(probes.Overlap), problems.Count(probes.Doubt))
			if problems.Count(probes.Mistake) > 0 {
				return errSilent
			}
			return nil
		},
	}
}

// serviceRow is one line of `database list`.
type serviceRow struct {
	Service  string   `json:"service"`
	Lines    int      `json:"lines"`
	Versions int      `json:"version_lines"`
	Products []string `json:"products,omitempty"`
	Probes   []string `json:"probes"`
}

func newListCommand() *cobra.Command {
	var output string
	var engines bool
	c := &cobra.Command{
		Use:   "list [FILE...]",
		Short: "List the services that the database knows, and count",
		Example: `  sonde database list -o json
  sonde database list --engines`,
		RunE: func(c *cobra.Command, files []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			db, err := loadDatabase(files)
			if err != nil {
				return err
			}
			if engines {
				return writeEngines(c.OutOrStdout(), db)
			}
			rows := serviceRows(db)
			if output == "json" {
				enc := json.NewEncoder(c.OutOrStdout())
				for i := range rows {
					if err := enc.Encode(&rows[i]); err != nil {
						return err
					}
				}
				return nil
			}
			examples, err := examplesOf(files)
			if err != nil {
				return err
			}
			return writeServices(c.OutOrStdout(), rows, db.Statistics(), len(examples))
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().BoolVar(&engines, "engines", false, "list the lines instead, each with the engine that searches it")
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

func writeServices(w io.Writer, rows []serviceRow, s probes.Statistics, examples int) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tLINES\tVERSIONS\tPRODUCTS\tPROBES")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\n", r.Service, r.Lines, r.Versions, len(r.Products),
			strings.Join(r.Probes, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "database: protocols=%d lines=%d products=%d examples=%d tcp_probes=%d udp_probes=%d\n",
		s.Services, s.Match+s.SoftMatch, s.Products, examples, s.TCPProbes, s.UDPProbes)
	return err
}

func newTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Run the examples of each signature against the whole database",
		Long: `Each example answer must hit exactly its line in the whole database, with
exactly its fields. The examples of NAME.probes stand in NAME.examples.`,
		Example: "  sonde database test builtin my.probes",
		RunE: func(c *cobra.Command, files []string) error {
			db, err := loadDatabase(files)
			if err != nil {
				return err
			}
			examples, err := examplesOf(files)
			if err != nil {
				return err
			}
			failures := probes.RunExamples(db, examples)
			w := c.OutOrStdout()
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
		},
	}
}

// examplesOf reads the examples that belong to the named probe files.
func examplesOf(files []string) ([]probes.Example, error) {
	if len(files) == 0 {
		files = []string{config.Builtin}
	}
	var all []probes.Example
	for _, name := range files {
		if name == config.Builtin {
			own, err := probes.BuiltinExamples()
			if err != nil {
				return nil, err
			}
			all = append(all, own...)
			continue
		}
		beside := strings.TrimSuffix(name, ".probes") + ".examples"
		data, err := os.ReadFile(beside)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("examples: %w", err)
		}
		some, err := probes.ParseExamples(beside, data)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
