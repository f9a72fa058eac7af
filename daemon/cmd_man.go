package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"sonde/config"
)

// manMore is what sonde(8) says beyond the program's own help.
//
//go:embed sonde.8.more
var manMore []byte

// newManCommand writes the manual pages that packages install. They are made
// from the commands' own help and the reference configuration, so they cannot
// differ from these.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write manual pages to a directory",
		Long: `Writes sonde(8), a page of section 1 for each subcommand, and sonde.toml(5),
which has every key of the configuration.`,
		Example: "  sonde man bin/man",
		Hidden:  true,
		Args:    someArgs("a directory"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := writeManPages(c.Root(), args[0]); err != nil {
				return fmt.Errorf("manual pages: %w", err)
			}
			return nil
		},
	}
}

func writeManPages(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	if err := writeManPage(root, dir); err != nil {
		return err
	}
	page := manConfig(string(config.Reference))
	return os.WriteFile(filepath.Join(dir, "sonde.toml.5"), page, 0o644)
}

// writeManPage writes the page of a command and of all below it. The root is in
// section 8, as it is the service that an administrator runs.
func writeManPage(c *cobra.Command, dir string) error {
	section := "1"
	if !c.HasParent() {
		section = "8"
	}
	epoch := time.Unix(0, 0).UTC() // the same pages at every build
	var page bytes.Buffer
	header := &doc.GenManHeader{Title: "SONDE", Section: section, Source: "Sonde", Manual: "Sonde", Date: &epoch}
	if err := doc.GenMan(c, header, &page); err != nil {
		return err
	}
	out := page.Bytes()
	if c.HasParent() { // which cobra takes to be in the same section
		out = bytes.ReplaceAll(out, []byte(`\fBsonde(1)\fP`), []byte(`\fBsonde(8)\fP`))
	} else {
		out = bytes.ReplaceAll(out, []byte(`(8)\fP`), []byte(`(1)\fP`))
		out = bytes.Replace(out, []byte(".SH SEE ALSO\n"), append(bytes.Clone(manMore), ".SH SEE ALSO\n\\fBsonde.toml(5)\\fP, "...), 1)
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + "." + section
	if err := os.WriteFile(filepath.Join(dir, name), out, 0o644); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeManPage(sub, dir); err != nil {
			return err
		}
	}
	return nil
}
