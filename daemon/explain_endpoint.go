package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/control"
	"sonde/daemon/internal/report"
	"sonde/probes"
)

// explainEndpoint asks the running daemon all about an endpoint.
func explainEndpoint(c *cobra.Command, ask *stateFlags, endpoint, zone, output string) error {
	if err := oneOf("output", output, "text", "json"); err != nil {
		return err
	}
	if _, err := control.ParseEndpoint(endpoint); err != nil {
		return usageError{err}
	}
	var x control.Explanation
	if err := ask.get(c.Context(), "/v1/explain", url.Values{"endpoint": {endpoint}, "zone": {zone}}, &x); err != nil {
		return err
	}
	if output == "json" {
		return json.NewEncoder(c.OutOrStdout()).Encode(&x)
	}
	return writeExplanation(c.OutOrStdout(), &x, time.Now())
}

// writeExplanation writes it for people. What came from the network is made
// printable.
func writeExplanation(w io.Writer, x *control.Explanation, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, report.Printable(fmt.Sprintf(format, args...)))
	}
	line("endpoint", "%s in zone %s: %s", x.Endpoint, cmp.Or(x.Zone, "-"), x.Status)
	line("scope", "%s", x.Scope)
	if x.Is != nil {
		line("is", "%s", identityText(x.Is))
		for _, o := range x.Others {
			line("also", "%s", identityText(o))
		}
		line("last visit", "%s, %s%s", stamp(x.LastVisited), x.Is.Outcome, inParentheses(x.Is.Reason))
		line("seen", "first %s, last %s, identity confirmed %s", stamp(x.FirstSeen), stamp(x.LastSeen), stamp(x.LastVerified))
	}
	if !x.AbsentAt.IsZero() {
		line("absent", "a sweep had found nothing there on %s", stamp(x.AbsentAt))
	}
	if x.Unverified {
		line("unverified", "no visit could confirm it of late, which was told")
	}
	if x.Unstable {
		line("unstable", "its identity goes to and fro, which was told")
	}
	if p := x.Pending; p != nil {
		line("confirming", "%s (cause %s): %d agreeing visits since %s say %s", p.Action, p.Cause, p.Agreeing, stamp(p.Since), identityText(p.Is))
	}
	writeLines(line, x)
	writeAnswers(line, x)
	writeNext(line, x.Next, now)
	if err := t.Flush(); err != nil {
		return err
	}
	writeLadder(w, x.Ladder)
	fmt.Fprintf(w, "\nHISTORY, the newest first\n")
	for i := range x.History {
		h := &x.History[i]
		fmt.Fprintf(w, "%s %6d %-20s %s\n", stamp(h.At), h.Seq, h.Action, report.Printable(h.Message))
	}
	if len(x.History) == 0 {
		_, err := fmt.Fprintln(w, "nothing was told of it")
		return err
	}
	return nil
}

func identityText(o *probes.Observation) string {
	return strings.TrimSpace(report.ServiceName(o) + " " + report.VersionText(o))
}

func inParentheses(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// writeLines says which line won, by which answer, and which came after it.
func writeLines(line func(name, format string, args ...any), x *control.Explanation) {
	l := x.Lines
	if l == nil {
		return
	}
	e := x.Is.Evidence
	line("answer", "to %s: \"%s\"%s", l.Probe, e.Answer, map[bool]string{true: " (cut)"}[e.Truncated])
	switch {
	case l.Won == nil:
		line("line", "none of %d explains it", l.Tried)
	default:
		line("line", "%s at %s, the first of %d that matches: %s", l.Won.Rule, l.Won.Place, l.Tried, l.Won.Is)
	}
	for _, o := range l.RunnersUp {
		line("runner-up", "%s at %s: %s", o.Rule, o.Place, o.Is)
	}
	if l.Stale {
		line("database", "another one named it; the lines are those of today's")
	}
}

// maxAnswerShown is how many bytes of one answer are shown to people: a line or two
// of a terminal, where most are printable.
const maxAnswerShown = 100

// writeAnswers says what the other probes drew, a line each.
func writeAnswers(line func(name, format string, args ...any), x *control.Explanation) {
	for i := range x.Answers {
		a := &x.Answers[i]
		if l := x.Lines; l != nil && l.Probe == a.Probe {
			continue // it is shown with its line
		}
		begins := a.Answer[:min(len(a.Answer), maxAnswerShown)]
		line("drew", "by %s, %d bytes: \"%s\"%s", a.Probe, a.Length, begins,
			map[bool]string{true: " (cut)"}[len(begins) < a.Length])
	}
	if x.Full {
		line("drew", "no room was left for what further probes drew")
	}
}

func writeNext(line func(name, format string, args ...any), n *control.Next, now time.Time) {
	if n == nil {
		return
	}
	line("next visit", "%s: %s", soon(n.Due, now), n.Why)
	if n.Shut != "" {
		line("held up", "nothing is sent for the watch: %s", n.Shut)
	}
	if n.Careful {
		line("careful", "its host is asked with care, as it is fragile")
	}
	if !n.Rests.IsZero() {
		line("left alone", "its host fell silent after it was asked, until %s; see 'sonde release'", stamp(n.Rests))
	}
}

func writeLadder(w io.Writer, ladder []control.Rung) {
	if len(ladder) == 0 {
		return
	}
	fmt.Fprintln(w, "\nLADDER, in the order in which probes are asked")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	never := map[string][]string{}
	var whys []string
	for i := range ladder {
		r := &ladder[i]
		if r.State == control.RungNever {
			if never[r.Why] == nil {
				whys = append(whys, r.Why)
			}
			never[r.Why] = append(never[r.Why], r.Probe)
			continue
		}
		listed := ""
		if r.Listed {
			listed = "names this port"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", report.Printable(r.Probe), r.State, listed, report.Printable(r.Why), report.Printable(r.Place))
	}
	_ = t.Flush() // w tells at its next write
	for _, why := range whys {
		fmt.Fprintf(w, "not tried (%s): %s\n", why, strings.Join(never[why], " "))
	}
}
