// Old servers are what a scanner must be able to look at: certificates signed
// with SHA-1, RSA keys below 1,024 bits, negative serial numbers. Nothing that
// Sonde itself trusts rests on these.
//go:debug tlssha1=1
//go:debug rsa1024min=0
//go:debug x509negativeserial=1

// Command sonde finds what runs in a network, remembers it, and tells what
// changes. Each subcommand lives in its own cmd_*.go; wire.go turns a
// configuration into the parts that do the work.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// version and commit are set by the linker, see Makefile.
var (
	version = "unknown"
	commit  = "unknown"
)

// Exit codes.
const (
	exitDone  = 0
	exitAct   = 1 // something the user must act on
	exitUsage = 2 // the command line was not understood
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	ownWays(root)
	c, err := root.ExecuteContextC(context.Background())
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "sonde: %v (see '%s --help')\n", err, c.CommandPath())
		return exitUsage
	default:
		tell(errOut, err)
		return exitAct
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sonde",
		Short: "Find what runs in a network, remember it, tell what changes",
		Long: `Sonde finds the hosts and open ports of the networks in its configuration, asks
each what runs there, remembers the answers, and writes every confirmed change
to a JSON file and to syslog.`,
		Example: `  sonde run                          # the daemon, on loopback only
  sonde run -c /etc/sonde/sonde.toml # the daemon, as configured
  sonde scan 127.0.0.1 -p 1-1024     # one look, now
  sonde events                       # what was told so far`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetVersionTemplate("sonde {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newRunCommand(), newScanCommand(), newMatchCommand(), newDatabaseCommand(),
		newCheckCommand(), newPlanCommand(), newStatusCommand(), newVerifyCommand(), newPauseCommand(), newResumeCommand(),
		newSilenceCommand(), newReleaseCommand(), newReloadCommand(), newInventoryCommand(), newEventsCommand(), newExplainCommand(),
		newVersionCommand(),
		newBackupCommand(), newRestoreCommand(), newInitCommand(), newManCommand(),
	)
	return root
}
