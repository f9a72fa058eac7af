package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sonde/config"
	"sonde/probes"
)

// A databaseOrigin is where the database commands take their files from.
type databaseOrigin struct {
	config string // of this configuration, unless files are named
}

// choose gives the named files, or those of the configuration.
func (o *databaseOrigin) choose(files []string) (databaseChoice, error) {
	if o.config == "" {
		return databaseChoice{files: files}, nil
	}
	if len(files) > 0 {
		return databaseChoice{}, usageError{errors.New("--config and FILE exclude each other; give one")}
	}
	cfg, err := loadConfig(o.config)
	if err != nil {
		return databaseChoice{}, err
	}
	return chosenDatabase(&cfg.Database, nil), nil
}

// load gives the database and its examples. Those of lines that are left out
// are left out too.
func (o *databaseOrigin) load(files []string) (*probes.Database, []probes.Example, error) {
	chosen, err := o.choose(files)
	if err != nil {
		return nil, nil, err
	}
	db, err := chosen.loadAsWritten()
	if err != nil {
		return nil, nil, err
	}
	if len(chosen.files) == 0 {
		chosen.files = []string{config.Builtin}
	}
	examples, err := examplesOf(append(slices.Clone(chosen.local), chosen.files...))
	if err != nil {
		return nil, nil, err
	}
	return db, slices.DeleteFunc(examples, func(e probes.Example) bool {
		return slices.Contains(chosen.disable, e.Rule)
	}), nil
}

func newDatabaseCommand() *cobra.Command {
	var from databaseOrigin
	c := &cobra.Command{
		Use:   "database",
		Short: "Check, list and test service-probe files",
		Long: `Probe files are in the grammar of nmap's service-probe file. Without FILE the
commands look at the built-in database; "builtin" names it beside other files. With --config they look at what the daemon
would load.`,
		Example: "  sonde database lint my.probes",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.PersistentFlags().StringVarP(&from.config, "config", "c", "",
		"configuration `FILE` whose database it is: probes.d beside it, database.files and disable")
	c.AddCommand(newLintCommand(&from), newListCommand(&from), newTestCommand(&from), newExportCommand(&from), newNewCommand())
	return c
}

func newLintCommand(from *databaseOrigin) *cobra.Command {
	return &cobra.Command{
		Use:   "lint [FILE...]",
		Short: "Print every mistake with file:line:column and reason",
		Long: `Reads probe files and prints all that is wrong or odd in one run: mistakes,
patterns that are not supported, lines that never win, doubtful settings. It
ends with 1 if there are mistakes.`,
		Example: "  sonde database lint my.probes",
		RunE: func(c *cobra.Command, files []string) error {
			chosen, err := from.choose(files)
			if err != nil {
				return err
			}
			sources, err := chosen.sources()
			if err != nil {
				return err
			}
			problems := probes.Lint(sources...)
			w := c.OutOrStdout()
			for _, p := range problems {
				fmt.Fprintf(w, "%v: %s: %s\n", p.Pos, p.Class, p.Text)
			}
			db, _ := probes.LoadWithout(chosen.disable, sources...) // its mistakes are among the problems
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
