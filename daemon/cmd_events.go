package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/emit"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/report"
)

// followEvery is how often `events -f` looks for new events.
const followEvery = 500 * time.Millisecond

// knownActions are what --action takes: with others it would show nothing.
func knownActions() []string {
	var names []string
	for _, a := range event.Actions() {
		names = append(names, string(a))
	}
	return names
}

func newEventsCommand() *cobra.Command {
	var (
		state    stateFlags
		output   string
		follow   bool
		since    time.Duration
		actions  []string
		watch    string
		severity string
		afterSeq int64
		schema   bool
	)
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what was told",
		Long: `Asks the running daemon for the events that were committed, or reads the state
directory where none runs, oldest first. They do not depend on any sink.`,
		Example: `  sonde events --since 24h
  sonde events -f -o json
  sonde events --action service.new --action service.gone
  sonde events --severity warning --watch office
  sonde events --schema`,
		Args: noArgs,
		RunE: stoppable(func(c *cobra.Command, _ []string) error {
			if schema {
				_, err := c.OutOrStdout().Write(event.JSONSchema)
				return err
			}
			if err := oneOf("output", output, "text", "json", "ecs", "cef"); err != nil {
				return err
			}
			if severity != "" {
				if err := oneOf("severity", severity, severityNames()...); err != nil {
					return err
				}
			}
			src, err := state.source()
			if err != nil {
				return err
			}
			if since < 0 {
				return usageError{fmt.Errorf("--since %v lies ahead; write a time without a sign", since)}
			}
			for _, a := range actions {
				if err := oneOf("action", a, knownActions()...); err != nil {
					return err
				}
			}
			v := eventView{format: formats[output], watch: watch, least: slices.Index(severityNames(), severity), actions: map[event.Action]bool{}}
			for _, a := range actions {
				v.actions[event.Action(a)] = true
			}
			if since > 0 {
				v.from = time.Now().Add(-since)
			}
			err = v.show(c.Context(), c.OutOrStdout(), src, afterSeq, follow)
			if follow && errors.Is(err, context.Canceled) {
				return nil // ended by the user
			}
			return err
		}),
	}
	state.add(c)
	f := c.Flags()
	f.StringVarP(&output, "output", "o", "text", "text, json, ecs (Elastic Common Schema) or cef")
	f.BoolVar(&schema, "schema", false, "print the JSON Schema of the event object, and end")
	f.BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	f.DurationVar(&since, "since", 0, "only events of the last `TIME`, such as 90m or 24h")
	f.Int64Var(&afterSeq, "after", 0, "only events after this sequence `NUMBER`")
	f.StringArrayVar(&actions, "action", nil, "only this `ACTION`, such as service.new; may be repeated")
	f.StringVar(&watch, "watch", "", "only this watch")
	f.StringVar(&severity, "severity", "", "only this `SEVERITY` and worse: info, notice, warning or error")
	return c
}

// formats are the values of --output that programs read.
var formats = map[string]emit.Format{"json": emit.Sonde, "ecs": emit.ECS, "cef": emit.CEF}

// eventView is what of the events is shown, and how.
type eventView struct {
	format  emit.Format // "" is text
	from    time.Time
	watch   string
	least   int // the least severity, by its place in severityNames; -1: any
	actions map[event.Action]bool
}

// severityNames are what --severity takes, the worst last.
func severityNames() []string {
	return []string{string(event.Info), string(event.Notice), string(event.Warning), string(event.Error)}
}

// show prints the events after a sequence number, and with follow those that
// come. A daemon that starts or stops while it follows is no matter.
func (v *eventView) show(ctx context.Context, w io.Writer, src *source, after int64, follow bool) error {
	out := bufio.NewWriter(w)
	for {
		list, last, err := src.events(ctx, after, emit.BatchSize)
		if err != nil && (!follow || !errors.Is(err, os.ErrNotExist)) {
			return errors.Join(err, out.Flush())
		}
		for i := range list {
			if err := v.line(out, list[i]); err != nil {
				return errors.Join(err, out.Flush())
			}
		}
		if after = last; len(list) > 0 {
			continue
		}
		if err := out.Flush(); err != nil || !follow {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followEvery):
		}
	}
}

func (v *eventView) line(w io.Writer, text []byte) error {
	rec, err := emit.NewRecord(text)
	if err != nil {
		return err
	}
	e := &rec.Event
	if len(v.actions) > 0 && !v.actions[e.Action] || slices.Index(severityNames(), string(e.Severity)) < v.least ||
		e.Timestamp.Before(v.from) || v.watch != "" && e.Watch != v.watch {
		return nil
	}
	if v.format != "" {
		_, err = w.Write(append(emit.AppendLine(nil, v.format, &rec), '\n'))
		return err
	}
	_, err = fmt.Fprintf(w, "%s %6d %-7s %-20s %s\n", e.Timestamp.UTC().Format("2006-01-02T15:04:05Z"),
		e.Seq, e.Severity, e.Action, report.Printable(e.Message))
	return err
}
