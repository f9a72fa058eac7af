package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/inventory"
)

func newBackupCommand() *cobra.Command {
	var state stateFlags
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the inventory to a file, while the daemon runs or not",
		Long: `Writes the inventory as it is now to a new file, and checks that file wholly. A
daemon that runs meanwhile is not held up. The events file is not part of it.`,
		Example: "  sonde backup -c /etc/sonde/sonde.toml /var/backups/sonde.db",
		Args:    exactly(1, "a file to write"),
		RunE: stoppable(func(c *cobra.Command, args []string) error {
			dir, least, err := state.room()
			if err != nil {
				return err
			}
			r, err := inventory.OpenReadOnly(c.Context(), dir)
			if err != nil {
				return err
			}
			defer r.Close()
			size, err := r.Size(c.Context())
			if err == nil {
				err = roomFor(filepath.Dir(args[0]), size, least)
			}
			if err != nil {
				return fmt.Errorf("backup to %s: %w", args[0], err)
			}
			if err := r.Backup(c.Context(), args[0]); err != nil {
				return err
			}
			rep, err := inventory.Check(c.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d endpoints, checked\n", args[0], rep.Endpoints)
			return err
		}),
	}
	state.add(c)
	return c
}

func newRestoreCommand() *cobra.Command {
	var state stateFlags
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup into the place of the inventory",
		Long: `Checks a backup and puts it into the place of the inventory of a daemon that is
stopped. What was there is kept beside it. Sequence numbers of events begin anew,
in a new epoch, so that no receiver takes an event for one that it has.`,
		Example: "  sonde restore -c /etc/sonde/sonde.toml /var/backups/sonde.db",
		Args:    exactly(1, "a backup to read"),
		RunE: stoppable(func(c *cobra.Command, args []string) error {
			dir, least, err := state.room()
			if err != nil {
				return err
			}
			if fi, err := os.Stat(args[0]); err == nil && isDir(dir) { // else Restore tells what is wrong
				if err := roomFor(dir, fi.Size(), least); err != nil {
					return fmt.Errorf("restore %s: %w", args[0], err)
				}
			}
			kept, err := inventory.Restore(c.Context(), dir, args[0], time.Now())
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: restored from %s\n", dir, args[0])
			if kept != "" {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s: what was there before\n", kept)
			}
			return err
		}),
	}
	state.add(c)
	return c
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// checkState reads a store wholly and says what it holds.
func checkState(c *cobra.Command, path string) error {
	rep, err := inventory.Check(c.Context(), path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: ok, schema %d, %d endpoints, %d events kept\n",
		rep.Path, rep.Schema, rep.Endpoints, rep.Events)
	return err
}
