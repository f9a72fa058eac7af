package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newExplainCommand() *cobra.Command {
	var (
		state stateFlags
		sent  sentFlags
	)
	c := &cobra.Command{
		Use:   "explain --sent ADDRESS",
		Short: "Tell what this sensor did, and why",
		Long: `With --sent, tells what this sensor sent to an address: every conversation of a
visit with its own port and the probes that were sent, and every sweep that the
address was in. The log of it lies in the state directory; the answer says in
which times it was kept, and what is missing in it.`,
		Example: `  sonde explain --sent 192.0.2.7 --since 2h
  sonde explain --sent 2001:db8::7 --since 2026-01-31T12:00:00Z -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if sent.addr == "" {
				return usageError{errors.New("name an address with --sent")}
			}
			return sent.explain(c, &state)
		},
	}
	state.add(c)
	sent.add(c)
	return c
}
