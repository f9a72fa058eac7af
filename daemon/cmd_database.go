package main

import (
	"fmt"
	"os"
	"strings"

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
