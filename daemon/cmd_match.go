package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/report"
	"sonde/match"
	"sonde/probes"
	"sonde/probes/session"
)

// maxBatchLine bounds one line of --batch: an answer of 64 KiB in base64 with
// room for the rest.
const maxBatchLine = 1 << 20

func newMatchCommand() *cobra.Command {
	var (
		transport, probe, output string
		batch, verbose           bool
		databases                []string
	)
	c := &cobra.Command{
		Use:   "match [FILE]",
		Short: "Identify recorded answers, without a network",
		Long: `Reads one answer, byte for byte, from FILE or standard input and says what the
database makes of it. With --batch it reads JSON lines
{"id","transport","probe","data"} with data in base64, and writes one JSON line
for each.`,
		Example: `  printf 'SSH-2.0-OpenSSH_9.2p1\r\n' | sonde match
  sonde match --transport udp --probe NTPRequest answer.bin
  zcat answers.jsonl.gz | sonde match --batch`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("match takes one FILE; give one answer at a time, or --batch")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("transport", transport, "tcp", "udp"); err != nil {
				return err
			}
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			db, err := loadDatabase(databases)
			if err != nil {
				return err
			}
			in := c.InOrStdin()
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("answer: %w; name a readable file, or - for standard input", err)
				}
				defer f.Close()
				in = f
			}
			if batch {
				return matchBatch(c, db, in)
			}
			return matchOne(c, db, in, probes.Transport(transport), probe, output, verbose)
		},
	}
	f := c.Flags()
	f.StringVar(&transport, "transport", "tcp", "tcp or udp")
	f.StringVar(&probe, "probe", "NULL", "`NAME` of the probe that drew the answer")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	f.BoolVar(&batch, "batch", false, "read JSON lines, write JSON lines")
	f.BoolVarP(&verbose, "verbose", "v", false, "also show the lines that would have matched, and the steps spent")
	addDatabaseFlag(c, &databases)
	return c
}

func addDatabaseFlag(c *cobra.Command, files *[]string) {
	c.Flags().StringArrayVar(files, "database", nil,
		"probe `FILE` in place of the built-in database, which \"builtin\" names; may be repeated")
}

func matchOne(c *cobra.Command, db *probes.Database, in io.Reader, t probes.Transport,
	probe, output string, verbose bool) error {
	answer, err := io.ReadAll(io.LimitReader(in, match.MaxAnswer+1))
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if len(answer) > match.MaxAnswer {
		answer = answer[:match.MaxAnswer]
		fmt.Fprintf(c.ErrOrStderr(), "sonde: answer: only its first %d bytes are matched\n", match.MaxAnswer)
	}
	obs := session.Identify(db, t, probe, answer)
	w := c.OutOrStdout()
	if output == "json" {
		if err := json.NewEncoder(w).Encode(obs); err != nil {
			return err
		}
	} else {
		writeMatch(w, &obs)
	}
	if verbose {
		return explainMatch(w, db, t, probe, answer)
	}
	return nil
}

func writeMatch(w io.Writer, o *probes.Observation) {
	outcome := string(o.Outcome)
	if o.Outcome == probes.OutcomeAnswered {
		outcome = "" // as it should be
	}
	for _, f := range [][2]string{
		{"service", o.Service}, {"product", o.Product}, {"version", o.Version},
		{"info", o.Info}, {"hostname", o.Hostname}, {"os", o.OS}, {"device", o.Device},
		{"tunnel", string(o.Tunnel)}, {"strength", string(o.Strength)},
		{"outcome", outcome}, {"rule", o.Rule}, {"reason", o.Reason},
	} {
		if f[1] != "" {
			fmt.Fprintf(w, "%-9s %s\n", f[0], report.Printable(f[1]))
		}
	}
	for _, cpe := range o.CPE {
		fmt.Fprintf(w, "%-9s %s\n", "cpe", report.Printable(cpe))
	}
}

// explainMatch shows the winner, the runners-up, and what the search took.
func explainMatch(w io.Writer, db *probes.Database, t probes.Transport, probe string, answer []byte) error {
	const most = 20
	p := db.Lookup(t, probe)
	if p == nil {
		return fmt.Errorf("explain: the database has no probe %s %s", t, probe)
	}
	trace := p.Search().MatchAll(match.NewScratch(), answer, most)
	fmt.Fprintf(w, "\n%d lines, %d looked at closely, %d steps\n", trace.Rules, trace.Candidates, trace.Steps)
	for i, h := range trace.Hits {
		kind := "also"
		if i == 0 {
			kind = "winner"
		}
		if h.Rule.Blocked {
			kind += ", refusal"
		}
		fmt.Fprintf(w, "%-9s %s (%v): %s\n", kind, h.Rule.Name(), h.Rule.Pos, report.Printable(h.Identity.String()))
	}
	if trace.More {
		fmt.Fprintf(w, "%-9s more than %d\n", "also", most)
	}
	for i := range trace.Tried {
		c := &trace.Tried[i]
		fmt.Fprintf(w, "candidate %s (%v): %v by %s in %d steps\n", c.Rule.Name(), c.Rule.Pos, c.Result, c.Engine, c.Steps)
	}
	return nil
}

// batchLine is one line of --batch.
type batchLine struct {
	ID        string           `json:"id"`
	Transport probes.Transport `json:"transport"`
	Probe     string           `json:"probe"`
	Data      []byte           `json:"data"`
}

func matchBatch(c *cobra.Command, db *probes.Database, in io.Reader) error {
	out := bufio.NewWriterSize(c.OutOrStdout(), 1<<16)
	enc := json.NewEncoder(out)
	scratch := match.NewScratch()
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 1<<16), maxBatchLine)
	n := 0
	for sc.Scan() {
		n++
		if err := c.Context().Err(); err != nil {
			return errors.Join(err, out.Flush())
		}
		if len(sc.Bytes()) == 0 {
			continue
		}
		var line batchLine
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
			return errors.Join(fmt.Errorf("batch line %d: %w", n, err), out.Flush())
		}
		if line.Transport != probes.TCP && line.Transport != probes.UDP {
			return errors.Join(fmt.Errorf("batch line %d: transport %q is not known; write tcp or udp",
				n, line.Transport), out.Flush())
		}
		result := struct {
			ID string `json:"id"`
			probes.Observation
		}{line.ID, session.IdentifyWith(scratch, db, line.Transport, line.Probe, line.Data)}
		result.Evidence = nil // the caller has the answer
		if err := enc.Encode(&result); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes; cut the answer to %d", maxBatchLine, match.MaxAnswer)
		}
		return errors.Join(fmt.Errorf("batch line %d: %w", n+1, err), out.Flush())
	}
	return out.Flush()
}
