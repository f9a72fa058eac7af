package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/report"
	"sonde/probes"
)

func newInventoryCommand() *cobra.Command {
	var (
		state  stateFlags
		filter inventory.Filter
		output string
		gone   bool
	)
	c := &cobra.Command{
		Use:   "inventory",
		Short: "List the services that are known",
		Long: `Reads the state directory of a daemon, whether that runs or not, and lists what
is known there.`,
		Example: `  sonde inventory -c /etc/sonde/sonde.toml
  sonde inventory --service ssh -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			if !gone {
				filter.Status = []inventory.Status{inventory.Candidate, inventory.Present}
			}
			filter.Brief = output == "text"
			dir, err := state.resolve()
			if err != nil {
				return err
			}
			r, err := inventory.OpenReadOnly(c.Context(), dir)
			if err != nil {
				return err
			}
			defer r.Close()
			if output == "json" {
				return inventoryJSON(c, r, filter)
			}
			return inventoryTable(c, r, filter)
		},
	}
	state.add(c)
	f := c.Flags()
	f.StringVarP(&output, "output", "o", "text", "text or json")
	f.StringVar(&filter.Watch, "watch", "", "only this watch")
	f.StringVar(&filter.Service, "service", "", "only this service")
	f.StringVar(&filter.Product, "product", "", "only this product")
	f.BoolVar(&gone, "gone", false, "also what is gone")
	return c
}

func inventoryTable(c *cobra.Command, r *inventory.Reader, filter inventory.Filter) error {
	t := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ENDPOINT\tSTATUS\tSERVICE\tVERSION\tWATCH\tFIRST SEEN\tLAST SEEN")
	n := 0
	for e, err := range r.Endpoints(c.Context(), filter) {
		if err != nil {
			return errors.Join(err, t.Flush())
		}
		n++
		fmt.Fprintf(t, "%s/%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			netip.AddrPortFrom(e.Key.Addr, e.Key.Port), e.Key.Transport, e.Status,
			report.ServiceName(&e.Current), report.Printable(report.VersionText(&e.Current)),
			report.Printable(e.Watch), stamp(e.FirstSeen), stamp(e.LastSeen))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	plural := "s"
	if n == 1 {
		plural = ""
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "%d service%s\n", n, plural)
	return err
}

// stamp is a time for tables, in UTC as in the events.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func inventoryJSON(c *cobra.Command, r *inventory.Reader, filter inventory.Filter) error {
	enc := json.NewEncoder(c.OutOrStdout())
	for e, err := range r.Endpoints(c.Context(), filter) {
		if err != nil {
			return err
		}
		if err := enc.Encode(knownOf(&e)); err != nil {
			return err
		}
	}
	return nil
}

// A known is one service of `sonde inventory -o json` and of the snapshot.
type known struct {
	probes.Observation
	Watch        string    `json:"watch"`
	Zone         string    `json:"zone"`
	Status       string    `json:"status"`
	FirstSeen    time.Time `json:"first_seen,omitzero"`
	LastSeen     time.Time `json:"last_seen,omitzero"`
	LastVisited  time.Time `json:"last_visited,omitzero"`
	LastVerified time.Time `json:"last_verified,omitzero"`
}

func knownOf(e *inventory.Endpoint) *known {
	k := &known{e.Current, e.Watch, e.Key.Zone, string(e.Status), e.FirstSeen.UTC(), e.LastSeen.UTC(),
		e.LastVisited.UTC(), e.LastVerified.UTC()}
	k.Addr, k.Port, k.Transport = e.Key.Addr, e.Key.Port, e.Key.Transport
	return k
}

// services gives for the snapshot what `sonde inventory -o json` lists.
func services(r *inventory.Reader) func(context.Context) iter.Seq2[any, error] {
	filter := inventory.Filter{Status: []inventory.Status{inventory.Candidate, inventory.Present}}
	return func(ctx context.Context) iter.Seq2[any, error] {
		return func(yield func(any, error) bool) {
			for e, err := range r.Endpoints(ctx, filter) {
				if !yield(knownOf(&e), err) {
					return
				}
			}
		}
	}
}
