package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newExplainCommand() *cobra.Command {
	var (
		state stateFlags
		sent  sentFlags
		zone  string
	)
	c := &cobra.Command{
		Use:   "explain ENDPOINT",
		Short: "Tell what is known of an endpoint and why, or what was sent to an address",
		Long: `Asks the running daemon about an endpoint: which watch asks it, what is believed
of it, by which answer and which line of the database, and which came next, what
the other probes drew where no line explains it, the probes that are asked in their
order and why others are not, what was told of it, and when it is asked next. Of
each answer 900 bytes are kept, and of all as many as fit into a fingerprint; -o
json shows them whole.

With --sent, tells instead what this sensor sent to an address: every conversation of a
visit with its own port and the probes that were sent, and every sweep that the
address was in. The log of it lies in the state directory; the answer says in
which times it was kept, and what is missing in it.`,
		Example: `  sonde explain 192.0.2.7:443/tcp
  sonde explain --sent 192.0.2.7 --since 2h
  sonde explain --sent 2001:db8::7 --since 2026-01-31T12:00:00Z -o json`,
		Args: atMostOneEndpoint,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case sent.addr != "" && len(args) > 0:
				return usageError{errors.New("explain takes an endpoint or --sent, not both")}
			case sent.addr != "":
				return sent.explain(c, &state)
			case len(args) == 0:
				return usageError{errors.New("explain needs an endpoint, as in 'sonde explain 192.0.2.7:443/tcp', or --sent and an address")}
			}
			return explainEndpoint(c, &state, args[0], zone, sent.output)
		},
	}
	state.add(c)
	sent.add(c)
	c.Flags().StringVar(&zone, "zone", "", "the `ZONE` of the endpoint, where several have it")
	return c
}

func atMostOneEndpoint(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{errors.New("explain takes one endpoint")}
	}
	return nil
}
