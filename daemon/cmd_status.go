package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/control"
	"sonde/daemon/internal/quiet"
	"sonde/daemon/internal/report"
)

func newStatusCommand() *cobra.Command {
	var (
		ask    stateFlags
		output string
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Ask the running daemon what it does, and whether its promises hold",
		Long: `Asks the running daemon over its socket what it does now: whether its promises
hold, what is due, the sweeps under way, how the outputs do, what operators told it.
It ends with exit code 1 where silence cannot be trusted, and says why.`,
		Example: `  sonde status
  sonde status -c /etc/sonde/sonde.toml -o json`,
		Args: noArgs,
		RunE: stoppable(func(c *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			var s control.Status
			if err := ask.get(c.Context(), "/v1/status", nil, &s); err != nil {
				return err
			}
			var err error
			if output == "json" {
				err = json.NewEncoder(c.OutOrStdout()).Encode(&s)
			} else {
				err = writeStatus(c.OutOrStdout(), &s, time.Now())
			}
			if err == nil && !s.Health.Healthy {
				err = errSilent // the status itself has said why
			}
			return err
		}),
	}
	ask.add(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

// writeStatus writes a status for people. What a watch or an operator is called
// may come from a file, and is made printable.
func writeStatus(w io.Writer, s *control.Status, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, report.Printable(fmt.Sprintf(format, args...)))
	}
	line("sensor", "%s, version %s, running for %s", s.Sensor.Name, s.Sensor.Version, span(now.Sub(s.Started)))
	for i := range s.Health.Problems {
		p := &s.Health.Problems[i]
		line("PROBLEM", "%s: %s", strings.TrimSpace(p.Of+" "+p.Name), p.Text)
	}
	if s.Health.Healthy {
		line("health", "good: silence means that nothing changed, as far as the promises go")
	}
	line("discovery", "by %s (%s)", s.Discovery.Method, s.Discovery.Reason)
	if s.Discovery.Without != "" {
		line("without", "%s", s.Discovery.Without)
	}
	line("database", "%s", s.Database)
	line("events", "the last one is number %d", s.Events.LastSeq)
	line("visits", "%d under way, %d due, %d later; %s", s.Visits.UnderWay, s.Visits.Due, s.Visits.Later, countsText(s.Visits.Outcomes))
	line("hosts", "%d left alone after they fell silent, %d asked with care", s.Hosts.LeftAlone, s.Hosts.Careful)
	if len(s.Counts) > 0 {
		line("packets", "%s", countsText(s.Counts))
	}
	for i := range s.Sweeps {
		line("sweep", "%s", sweepText(&s.Sweeps[i], now))
	}
	for i := range s.Orders {
		line("order", "%s", orderText(&s.Orders[i], now))
	}
	for i := range s.Maintenance {
		m := &s.Maintenance[i]
		line("maintenance", "%s is %s for another %s", m.Name, map[bool]string{true: "on", false: "off"}[m.On], span(m.Until.Sub(now)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	writeWatches(w, s.Watches, now)
	fmt.Fprintln(w)
	return writeOutputs(w, s.Outputs)
}

func writeWatches(w io.Writer, list []control.Watch, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WATCH\tKNOWN\tFRESH\tOVERDUE\tUNSTABLE\tLEFT ALONE\tHELD\tBLOCKED\tLAST SWEEP\tNEXT SWEEP\tNEXT VISIT\tPROMISES")
	for i := range list {
		o := &list[i]
		last := "never"
		if o.Discover.Age != nil {
			last = span(seconds(*o.Discover.Age)) + " ago"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", report.Printable(o.Name), o.Known, o.Fresh,
			o.Overdue, o.Unstable, o.Quarantined, o.Held, o.Blocked, last, soon(o.Discover.Next, now), soon(o.Verify.Next, now),
			report.Printable(promises(o, now)))
	}
	_ = t.Flush() // w tells at its next write
}

// promises says how a watch keeps its promises.
func promises(o *control.Watch, now time.Time) string {
	var parts []string
	if o.Shut != "" {
		parts = append(parts, strings.TrimSuffix("nothing is sent: "+o.Shut+", "+o.ShutReason, ", "))
	}
	if h := o.Hours; h != nil {
		parts = append(parts, fmt.Sprintf("active_hours are %s for another %s", map[bool]string{true: "on", false: "off"}[h.On], span(h.Until.Sub(now))))
	}
	if o.Verify.Broken {
		parts = append(parts, "verify_every = "+span(seconds(o.Verify.Every))+" is BROKEN")
	}
	if o.Discover.Broken {
		parts = append(parts, "discover_every = "+span(seconds(o.Discover.Every))+" is BROKEN")
	}
	if !o.Verify.Broken && !o.Discover.Broken {
		parts = append(parts, "kept")
	}
	if o.BestEffort {
		parts = append(parts, "best effort")
	}
	return strings.Join(parts, "; ")
}

func writeOutputs(w io.Writer, list []control.Output) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "OUTPUT\tSTATE\tBEHIND\tFAILURES\tDROPPED\tTARGET")
	for i := range list {
		o := &list[i]
		state := "good"
		if o.Down {
			state = "DOWN since " + stamp(o.Since)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\n", report.Printable(o.Name), state, o.Backlog, o.Failures, o.Dropped,
			report.Printable(o.Target))
	}
	return t.Flush()
}

func sweepText(s *control.Sweep, now time.Time) string {
	text := fmt.Sprintf("%s/%s for %s: ", s.Watch, s.Transport, span(now.Sub(s.Since)))
	switch {
	case !s.Asks:
		text += "all asked"
	case s.Asked > 0:
		text += fmt.Sprintf("%d of %d asked", s.Asked, s.Targets)
	default:
		text += fmt.Sprintf("%d to be asked", s.Targets)
	}
	if s.Waits > 0 {
		text += fmt.Sprintf(", %d finds wait for their visit", s.Waits)
	}
	return text
}

func orderText(o *quiet.Order, now time.Time) string {
	text := fmt.Sprintf("%s %s since %s", o.Kind, o.Target, stamp(o.Since))
	if o.By != "" {
		text += " by " + o.By
	}
	if !o.Until.IsZero() {
		text += ", for another " + span(o.Until.Sub(now))
	}
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}

// countsText lists counts by their names.
func countsText[K ~string](counts map[K]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], strings.ReplaceAll(string(name), "_", " ")))
	}
	return cmp.Or(strings.Join(parts, ", "), "none so far")
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// span is a time for people: two units at most.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(0, d); {
	case d >= day:
		return fmt.Sprintf("%dd %dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		return fmt.Sprintf("%ds", (d+time.Second/2)/time.Second)
	}
}

// soon says when something is due, seen from now.
func soon(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case t.After(now):
		return "in " + span(t.Sub(now))
	default:
		return "now"
	}
}
