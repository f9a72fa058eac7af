package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/control"
	"sonde/daemon/internal/report"
)

// actFlags are what all commands have that tell the daemon what to do.
type actFlags struct {
	ask     stateFlags
	output  string
	command control.Command
	hold    time.Duration
}

// orders are the words of a command that tells the daemon what to do.
type orders struct {
	use, short, long, example string
	args                      cobra.PositionalArgs
}

// newActCommand makes a command that tells the daemon what to do: path is what
// it asks for, add adds its own flags.
func newActCommand(path string, w orders, add func(*cobra.Command, *actFlags),
	do func(*cobra.Command, *actFlags, string) error) *cobra.Command {
	var f actFlags
	c := &cobra.Command{Use: w.use, Short: w.short, Long: w.long, Example: w.example, Args: w.args,
		RunE: stoppable(func(c *cobra.Command, args []string) error {
			if err := oneOf("output", f.output, "text", "json"); err != nil {
				return err
			}
			if f.hold < 0 {
				return usageError{fmt.Errorf("--for %v lies behind; write a time without a sign", f.hold)}
			}
			if f.command.Seconds = f.hold.Seconds(); len(args) > 0 {
				f.command.Target = args[0]
			}
			return do(c, &f, path)
		})}
	f.ask.add(c)
	c.Flags().StringVarP(&f.output, "output", "o", "text", "text or json")
	if add != nil {
		add(c, &f)
	}
	return c
}

// post tells the daemon what to do.
func (f *actFlags) post(ctx context.Context, path string, into any) error {
	at, err := f.ask.control()
	if err != nil {
		return err
	}
	return control.NewClient(at.ActPath(), "control.act_group").Post(ctx, path, &f.command, into)
}

// obeyed prints what the daemon did.
func obeyed(c *cobra.Command, f *actFlags, path string) error {
	var done control.Done
	if err := f.post(c.Context(), path, &done); err != nil {
		return err
	}
	if f.output == "json" {
		return json.NewEncoder(c.OutOrStdout()).Encode(&done)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), report.Printable(done.Text))
	return err
}

func zoneFlag(c *cobra.Command, f *actFlags) {
	c.Flags().StringVar(&f.command.Zone, "zone", "", "the `ZONE`, where several have the address")
}

func holdFlags(c *cobra.Command, f *actFlags) {
	c.Flags().DurationVar(&f.hold, "for", 0, "for this `TIME`, such as 30m or 2h")
	c.Flags().StringVar(&f.command.Reason, "reason", "", "`WHY`, for the others who look")
}

func atMostOneWatch(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("%s takes one watch, or none for all", c.Name())}
	}
	return nil
}

func newVerifyCommand() *cobra.Command {
	return newActCommand("/v1/verify", orders{
		use: "verify ENDPOINT", short: "Have the running daemon visit an endpoint now, and show what it says",
		long: `Has the running daemon visit an endpoint now, ahead of all that is due, and
shows what was seen. It counts as every other visit: what is different is confirmed
and told. What no watch asks, or any exclude names, is not touched.`,
		example: `  sonde verify 192.0.2.1:443/tcp
  sonde verify '[2001:db8::1]:53/udp' -o json`,
		args: exactly(1, "an endpoint"),
	}, zoneFlag, func(c *cobra.Command, f *actFlags, path string) error {
		var v control.Visited
		if err := f.post(c.Context(), path, &v); err != nil {
			return err
		}
		if f.output == "json" {
			return json.NewEncoder(c.OutOrStdout()).Encode(&v)
		}
		w := c.OutOrStdout()
		fmt.Fprintf(w, "%-9s %s\n%-9s %s\n", "endpoint", v.Endpoint, "state", v.Is.State)
		writeMatch(w, v.Is)
		if e := v.Is.Evidence; e != nil {
			fmt.Fprintf(w, "%-9s %s\n%-9s \"%s\"\n", "probe", report.Printable(e.Probe), "answer", e.Answer)
		}
		return nil
	})
}

func newPauseCommand() *cobra.Command {
	return newActCommand("/v1/pause", orders{
		use: "pause [WATCH]", short: "Have the running daemon send nothing for a watch, or for all",
		long: `Has the running daemon send nothing for a watch, or for all, until sonde resume
or the end of --for. Visits under way are ended, sweeps wait where they are. It is
told as sensor.degraded, holds over a restart, and its promises go on to be judged.`,
		example: `  sonde pause office --for 2h --reason rewiring
  sonde pause`,
		args: atMostOneWatch,
	}, holdFlags, obeyed)
}

func newResumeCommand() *cobra.Command {
	return newActCommand("/v1/resume", orders{
		use: "resume [WATCH]", short: "Take a pause back",
		long:    "Has the running daemon go on with a watch that was paused, or with all.",
		example: "  sonde resume office",
		args:    atMostOneWatch,
	}, nil, obeyed)
}

func newSilenceCommand() *cobra.Command {
	return newActCommand("/v1/silence", orders{
		use: "silence TARGET", short: "Keep events of a target from the outputs for a while",
		long: `Events of the target go to the event file alone, marked as silenced. A target is
an endpoint, an address, a CIDR prefix or a watch. What is asked stays the same. It
holds over a restart; --end takes it back.`,
		example: `  sonde silence 192.0.2.0/24 --for 2h --reason patching
  sonde silence 192.0.2.1:443/tcp --for 30m
  sonde silence 192.0.2.0/24 --end`,
		args: exactly(1, "a target"),
	}, func(c *cobra.Command, f *actFlags) {
		holdFlags(c, f)
		c.Flags().BoolVar(&f.command.End, "end", false, "take the silence of this target back")
	}, func(c *cobra.Command, f *actFlags, path string) error {
		if f.command.End == (f.hold > 0) {
			return usageError{errors.New("silence needs either --for and a time, or --end")}
		}
		return obeyed(c, f, path)
	})
}

func newReleaseCommand() *cobra.Command {
	return newActCommand("/v1/release", orders{
		use: "release ADDRESS", short: "Have a host asked again that is left alone",
		long: `A host that fell silent after it was asked is left alone for a day, which is told
as host.distress. This has the running daemon ask it again at once.`,
		example: "  sonde release 192.0.2.7",
		args:    exactly(1, "an address"),
	}, zoneFlag, obeyed)
}

func newReloadCommand() *cobra.Command {
	return newActCommand("/v1/reload", orders{
		use: "reload", short: "Have the running daemon read its configuration again",
		long: `Has the running daemon read its configuration again, as SIGHUP does, and says
what is wrong with it: with any mistake the old one stays.`,
		example: "  sonde reload",
		args:    noArgs,
	}, nil, func(c *cobra.Command, f *actFlags, path string) error {
		err := obeyed(c, f, path)
		if no, ok := errors.AsType[*control.Refusal](err); ok && strings.Contains(no.Text, "\n") {
			return fmt.Errorf("the old configuration stays:\n%w", err)
		}
		return err
	})
}
