package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/control"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/report"
	"sonde/probes"
)

// inventoryFlags choose services, and how they are shown.
type inventoryFlags struct {
	state         stateFlags
	filter        inventory.Filter
	output        string
	gone          bool
	addr, port    string
	newer, unseen time.Duration
}

func newInventoryCommand() *cobra.Command {
	var o inventoryFlags
	c := &cobra.Command{
		Use:   "inventory",
		Short: "List the services that are known",
		Long: `Asks the running daemon what is known, or reads the state directory where none
runs. Over the socket answers come as events have them: their first 512 bytes, secrets
blotted out, without fingerprints. With --state-dir the directory is read in any
case, and everything is there.`,
		Example: `  sonde inventory -c /etc/sonde/sonde.toml
  sonde inventory --service ssh -o json
  sonde inventory --cpe cpe:/a:openbsd:openssh:9.2p1 -o csv
  sonde inventory --port 443 --unseen-for 168h`,
		Args: noArgs,
		RunE: stoppable(func(c *cobra.Command, _ []string) error {
			if err := o.check(time.Now()); err != nil {
				return err
			}
			services := o.state.services(c.Context(), o.filter)
			switch o.output {
			case "json":
				return inventoryJSON(c.OutOrStdout(), services)
			case "csv":
				return inventoryCSV(c.OutOrStdout(), services)
			}
			return inventoryTable(c.OutOrStdout(), services)
		}),
	}
	o.state.add(c)
	f := c.Flags()
	f.StringVarP(&o.output, "output", "o", "text", "text, json or csv")
	f.StringVar(&o.filter.Watch, "watch", "", "only this watch")
	f.StringVar(&o.filter.Service, "service", "", "only this service")
	f.StringVar(&o.filter.Product, "product", "", "only this product")
	f.StringVar(&o.filter.CPE, "cpe", "", "only what has a `CPE` that is this or begins with its parts")
	f.StringVar(&o.addr, "address", "", "only this `ADDRESS`")
	f.StringVar(&o.port, "port", "", "only this `PORT`, such as 443 or 53/udp")
	f.DurationVar(&o.newer, "seen-first-within", 0, "only what was seen first within this `TIME`, such as 24h")
	f.DurationVar(&o.unseen, "unseen-for", 0, "only what was not seen for this `TIME`, such as 24h")
	f.BoolVar(&o.gone, "gone", false, "also what is gone")
	return c
}

// check reads the values of the flags.
func (o *inventoryFlags) check(now time.Time) error {
	if err := oneOf("output", o.output, "text", "json", "csv"); err != nil {
		return err
	}
	f := &o.filter
	if f.Status = nil; !o.gone {
		f.Status = inventory.There()
	}
	f.Brief = o.output != "json"
	if o.addr != "" {
		a, err := netip.ParseAddr(o.addr)
		if err != nil {
			return usageError{fmt.Errorf("--address %q is no address; write one like 192.0.2.1", o.addr)}
		}
		f.Addr = a.Unmap()
	}
	if o.port != "" {
		number, transport, named := strings.Cut(o.port, "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 || named && transport != "tcp" && transport != "udp" {
			return usageError{fmt.Errorf("--port %q is no port; write 443, 443/tcp or 53/udp", o.port)}
		}
		f.Port, f.Transport = uint16(n), probes.Transport(transport)
	}
	for flag, of := range map[string]struct {
		d time.Duration
		t *time.Time
	}{"seen-first-within": {o.newer, &f.FirstSeenFrom}, "unseen-for": {o.unseen, &f.UnseenSince}} {
		if of.d < 0 {
			return usageError{fmt.Errorf("--%s %v lies ahead; write a time without a sign", flag, of.d)}
		}
		if of.d > 0 {
			*of.t = now.Add(-of.d)
		}
	}
	return nil
}

func inventoryTable(w io.Writer, services iter.Seq2[*control.Service, error]) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ENDPOINT\tSTATUS\tSERVICE\tVERSION\tWATCH\tFIRST SEEN\tLAST SEEN")
	n := 0
	for s, err := range services {
		switch {
		case err != nil && n == 0:
			return err // no table without a line
		case err != nil:
			return errors.Join(err, t.Flush())
		}
		n++
		fmt.Fprintf(t, "%s/%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			netip.AddrPortFrom(s.Addr, s.Port), s.Transport, s.Status,
			report.ServiceName(&s.Observation), report.Printable(report.VersionText(&s.Observation)),
			report.Printable(s.Watch), stamp(s.FirstSeen), stamp(s.LastSeen))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, report.Plural(n, "service", "services"))
	return err
}

// stamp is a time for tables, in UTC as in the events.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func inventoryJSON(w io.Writer, services iter.Seq2[*control.Service, error]) error {
	enc := json.NewEncoder(w)
	for s, err := range services {
		if err != nil {
			return err
		}
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	return nil
}

// inventoryCSV writes what RFC 4180 describes, for spreadsheets.
func inventoryCSV(w io.Writer, services iter.Seq2[*control.Service, error]) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{"addr", "port", "transport", "zone", "watch", "status", "tunnel", "service", "product", "version",
		"info", "hostname", "os", "device", "cpe", "strength", "outcome", "first_seen", "last_seen", "last_verified"})
	n := 0
	for s, bad := range services {
		if bad != nil && n == 0 {
			return bad // no table without a line
		}
		if err = errors.Join(err, bad); err != nil {
			break
		}
		n++
		row := []string{s.Addr.String(), strconv.Itoa(int(s.Port)), string(s.Transport), s.Zone, s.Watch, s.Status, string(s.Tunnel),
			s.Service, s.Product, s.Version, s.Info, s.Hostname, s.OS, s.Device, strings.Join(s.CPE, " "), string(s.Strength),
			string(s.Outcome), timeCell(s.FirstSeen), timeCell(s.LastSeen), timeCell(s.LastVerified)}
		for i := range row {
			row[i] = cell(row[i])
		}
		err = out.Write(row)
	}
	out.Flush()
	return errors.Join(err, out.Error())
}

func timeCell(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// cell keeps what a host says from being taken for a formula by a spreadsheet,
// as everybody does: by a single quote before it.
func cell(s string) string {
	s = report.Printable(s)
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

// services gives for the snapshot what `sonde inventory -o json` lists.
func services(r *inventory.Reader) func(context.Context) iter.Seq2[any, error] {
	filter := inventory.Filter{Status: inventory.There()}
	return func(ctx context.Context) iter.Seq2[any, error] {
		return func(yield func(any, error) bool) {
			for e, err := range r.Endpoints(ctx, filter) {
				if !yield(control.ServiceOf(&e), err) {
					return
				}
			}
		}
	}
}
