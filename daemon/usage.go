package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sonde/config"
	"sonde/probes"
)

// usageError marks an error of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errSilent ends a command with exitAct after it has said itself what is
// wrong.
var errSilent = errors.New("")

// tell says on one line each what went wrong. Mistakes in files begin with
// their places, where editors look for them.
func tell(w io.Writer, err error) {
	var (
		inConfig config.Errors
		inProbes probes.Problems
	)
	switch {
	case errors.Is(err, errSilent):
	case errors.As(err, &inConfig):
		tellMistakes(w, inConfig.Error(), len(inConfig), "the configuration")
	case errors.As(err, &inProbes):
		tellMistakes(w, inProbes.Error(), len(inProbes), "the probe files")
	default:
		fmt.Fprintf(w, "sonde: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nsonde: "))
	}
}

func tellMistakes(w io.Writer, list string, n int, where string) {
	fmt.Fprintln(w, list)
	if n > 1 {
		fmt.Fprintf(w, "sonde: %s: %d mistakes, listed above\n", where, n)
	}
}

// noArgs refuses arguments, and with them unknown commands.
func noArgs(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case c.HasAvailableSubCommands():
		return unknownCommand(c, args[0])
	default:
		return usageError{fmt.Errorf("%s takes no argument %q; leave it out", c.Name(), args[0])}
	}
}

// unknownCommand names what may have been meant.
func unknownCommand(c *cobra.Command, name string) error {
	const distance = 2 // letters that may be wrong: "scna", "evnets"
	c.SuggestionsMinimumDistance = distance
	similar := c.SuggestionsFor(name)
	if len(similar) == 0 {
		return usageError{fmt.Errorf("no command %q in %s", name, c.CommandPath())}
	}
	return usageError{fmt.Errorf("no command %q in %s; did you mean %s?", name, c.CommandPath(),
		strings.Join(similar, " or "))}
}

// someArgs asks for at least one argument, and shows the first example.
func someArgs(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			example, _, _ := strings.Cut(strings.TrimSpace(c.Example), "\n")
			return usageError{fmt.Errorf("%s needs %s, as in '%s'", c.Name(), what, example)}
		}
		return nil
	}
}

// exactly asks for n arguments, and shows the first example.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			example, _, _ := strings.Cut(strings.TrimSpace(c.Example), "\n")
			return usageError{fmt.Errorf("%s needs %s, as in '%s'", c.Name(), what, example)}
		}
		return nil
	}
}

// oneOf checks the value of a flag that is a choice.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usageError{fmt.Errorf("--%s %q is not known; write %s", flag, value, strings.Join(allowed, " or "))}
}

// flagError says what a flag's value should look like.
func flagError(_ *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return usageError{err}
	}
	want := map[string]string{
		"duration": `is no time; write a number and its unit, such as 500ms, 10s or 2h`,
		"int":      `is no whole number`,
		"int64":    `is no whole number`,
		"bool":     `is neither true nor false; the flag alone means true`,
	}[bad.GetFlag().Value.Type()]
	if want == "" {
		return usageError{err}
	}
	return usageError{fmt.Errorf("--%s %q %s", bad.GetFlag().Name, bad.GetValue(), want)}
}

// ownWays makes the commands that cobra adds by itself speak like the others:
// with an example each, and with an error on what they do not know.
func ownWays(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Example = "  sonde help scan"
			c.Args = func(_ *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return unknownCommand(found, args[len(args)-len(rest)])
				}
				return nil
			}
		case "completion":
			c.Example = "  source <(sonde completion bash)"
			c.Args = noArgs
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
			for _, shell := range c.Commands() {
				shell.Example = "  sonde completion " + shell.Name()
				shell.Args = noArgs
			}
		}
	}
}

// stoppable gives a command a context that ends at SIGINT or SIGTERM, so that
// it can end in its own way. A second signal ends the process in the system's.
func stoppable(do func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop)
		c.SetContext(ctx)
		return do(c, args)
	}
}
