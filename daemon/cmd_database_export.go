package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"sonde/probes"
)

func newExportCommand(from *databaseOrigin) *cobra.Command {
	return &cobra.Command{
		Use:   "export [FILE...]",
		Short: "Print the database as one file that nmap loads too",
		Long: `Joins all files into one, in the order in which they are searched. Lines keep
their ids and probes their permissions, as comments that nmap skips. Whoever
loads the file elsewhere sends its probes without these permissions.`,
		Example: `  sonde database export > sonde.probes
  sonde database export -c /etc/sonde/sonde.toml > sonde.probes`,
		RunE: func(c *cobra.Command, files []string) error {
			chosen, err := from.choose(files)
			if err != nil {
				return err
			}
			sources, err := chosen.sources()
			if err != nil {
				return err
			}
			merged, err := probes.MergeWithout(chosen.disable, sources...)
			if err != nil {
				return err
			}
			text, err := merged.AppendText(nil)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
}
