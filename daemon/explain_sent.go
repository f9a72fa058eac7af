package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/report"
	"sonde/daemon/internal/sent"
)

// mostSent is how many conversations are shown at most: the newest.
const mostSent = 1000

// sentFlags ask what was sent to an address.
type sentFlags struct{ addr, since, output string }

func (f *sentFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.addr, "sent", "", "what was sent to this `ADDRESS`")
	c.Flags().StringVar(&f.since, "since", "24h", "from this `TIME` on, such as 90m, 2026-01-31 or 2026-01-31T12:00:00Z")
	c.Flags().StringVarP(&f.output, "output", "o", "text", "text or json")
}

// explain answers from the state directory, whether a daemon runs or not.
func (f *sentFlags) explain(c *cobra.Command, state *stateFlags) error {
	if err := oneOf("output", f.output, "text", "json"); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(f.addr)
	if err != nil {
		return usageError{fmt.Errorf("--sent %q is no address", f.addr)}
	}
	now := time.Now()
	since, err := pointInTime(f.since, now)
	if err != nil {
		return usageError{fmt.Errorf("--since %w", err)}
	}
	dir, err := state.resolve()
	if err != nil {
		return err
	}
	a, err := sent.Find(c.Context(), sent.Path(dir), sent.Query{Addr: addr, Since: since, Until: now, Most: mostSent})
	if err != nil {
		return err
	}
	if f.output == "json" {
		return json.NewEncoder(c.OutOrStdout()).Encode(a)
	}
	return writeSent(c.OutOrStdout(), &a)
}

// pointInTime reads a time, or how long before now it was.
func pointInTime(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		if d < 0 {
			return now, fmt.Errorf("%s lies ahead; write a time without a sign", s)
		}
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return t, nil
		}
	}
	return now, fmt.Errorf("%q is no time; write 90m, 2026-01-31 or 2026-01-31T12:00:00Z", s)
}

// writeSent writes the answer for people.
func writeSent(w io.Writer, a *sent.Answer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(a.Contacts) > 0 {
		fmt.Fprintln(t, "BEGAN\tTOOK\tFROM\tTO\tSENT\tEND")
	}
	for i := range a.Contacts {
		k := &a.Contacts[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s/%s\t%s\t%s\n", stamp(k.Begun), k.Ended.Sub(k.Begun).Round(time.Millisecond),
			byText(sourceText(k), k.Interface), netip.AddrPortFrom(a.Addr, k.Port), k.Transport,
			orDash(strings.Join(k.Said, " ")), orDash(k.Why))
	}
	if len(a.Contacts) > 0 && len(a.Sweeps) > 0 {
		fmt.Fprintln(t)
	}
	if len(a.Sweeps) > 0 {
		fmt.Fprintln(t, "SWEEP BEGAN\tENDED\tMETHOD\tFROM PORTS\tPORTS\tEND")
	}
	for i := range a.Sweeps {
		s := &a.Sweeps[i]
		ended := "-"
		if s.Ended != nil {
			ended = stamp(*s.Ended)
		}
		to := strings.TrimPrefix(s.Ports+"/"+s.Transport, "/") // ICMP has no ports
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", stamp(s.Begun), ended, s.Method, byText(orDash(s.Sources), s.Interface), to, orDash(s.Why))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s and %s to %s since %s\n", report.Plural(len(a.Contacts), "conversation", "conversations"), report.Plural(len(a.Sweeps), "sweep", "sweeps"), a.Addr, stamp(a.Since))
	writeWorth(&b, a)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeWorth writes what the answer is worth.
func writeWorth(b *strings.Builder, a *sent.Answer) {
	if a.More {
		fmt.Fprintf(b, "there are more conversations, before these %d\n", len(a.Contacts))
	}
	if len(a.Kept) == 0 {
		b.WriteString("the log was not kept in this time: the sensor did not run, or its [sent] was off\n")
	}
	for _, s := range a.Kept {
		fmt.Fprintf(b, "log kept from %s to %s", stamp(s.From), stamp(s.To))
		if s.Killed {
			b.WriteString(", when the sensor was killed: what was under way is missing")
		}
		b.WriteByte('\n')
	}
	for _, g := range a.Lost {
		fmt.Fprintf(b, "missing at %s: ", stamp(g.At))
		if g.N > 0 {
			b.WriteString(report.Plural(g.N, "conversation", "conversations") + ", ")
		}
		b.WriteString(report.Printable(g.Why) + "\n")
	}
	if a.Pruned != nil {
		fmt.Fprintf(b, "conversations that ended before %s are gone, see sent.keep_for and sent.max_size\n", stamp(*a.Pruned))
	}
}

// byText adds the interface to where something came from, if it was bound to one.
func byText(from, via string) string {
	if via == "" {
		return from
	}
	return from + " on " + report.Printable(via)
}

// sourceText is where a conversation came from.
func sourceText(c *sent.Contact) string {
	switch {
	case c.From.IsValid():
		return netip.AddrPortFrom(c.From, c.Source).String()
	case c.Source > 0:
		return fmt.Sprintf("port %d", c.Source)
	}
	return "-"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return report.Printable(s)
}
