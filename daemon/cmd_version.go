package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"sonde/probes"
)

func newVersionCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit and the hash of the built-in database",
		Example: "  sonde version -o json",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			db, err := loadDatabase(nil)
			if err != nil {
				return err
			}
			v := versionFacts(db)
			if output == "json" {
				return json.NewEncoder(c.OutOrStdout()).Encode(v)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "sonde %s\ncommit %s\n%s %s/%s\ndatabase %s\n",
				v.Version, v.Commit, v.Go, v.OS, v.Arch, v.Database)
			return err
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Database string `json:"database"`
}

func versionFacts(db *probes.Database) versionInfo {
	return versionInfo{Version: version, Commit: commit, Go: runtime.Version(),
		OS: runtime.GOOS, Arch: runtime.GOARCH, Database: db.Hash}
}
