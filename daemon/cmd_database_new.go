package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sonde/daemon/internal/inventory"
	"sonde/match"
	"sonde/probes"
	"sonde/probes/draft"
)

// maxEvidenceFile bounds a file of evidence: a scan of 4,000 endpoints with
// 16 KiB each.
const maxEvidenceFile = 64 << 20

// newOptions are the flags of `database new`.
type newOptions struct {
	evidence         string
	probe, transport string
	service, write   string
	state            stateFlags
}

func newNewCommand() *cobra.Command {
	var o newOptions
	c := &cobra.Command{
		Use:   "new --from-evidence ENDPOINT|FILE",
		Short: "Draft a signature and its example from an answer that no line explains",
		Long: `Drafts a match line and its example. ENDPOINT, such as 192.0.2.1:22/tcp, is one
of the inventory. FILE has the JSON lines of scan, inventory or events, of which
all that no line explains are drafted, or one answer as it came, which --probe
drew. "-" is standard input.

A draft keeps the form of the answer and takes out what changes: versions, dates,
names, addresses, numbers. It has been loaded over the built-in database, and its
example passed. What it says is a proposal: read it before you use it.`,
		Example: `  sonde database new --from-evidence 192.0.2.1:7777/tcp
  sonde scan 127.0.0.1 -p 7777 -o json | sonde database new --from-evidence -
  sonde database new --from-evidence answer.bin --probe GetRequest -w /etc/sonde/probes.d/own.probes`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	f := c.Flags()
	f.StringVar(&o.evidence, "from-evidence", "", "`ENDPOINT` of the inventory, or FILE with answers")
	f.StringVar(&o.probe, "probe", "NULL", "`NAME` of the probe that drew an answer as it came")
	f.StringVar(&o.transport, "transport", "tcp", "tcp or udp, likewise")
	f.StringVar(&o.service, "service", "", "`NAME` of the service, in place of a guess")
	f.StringVarP(&o.write, "write", "w", "", "write `FILE`.probes and its .examples, which must not exist")
	o.state.add(c)
	return c
}

func (o *newOptions) run(c *cobra.Command) error {
	if err := oneOf("transport", o.transport, "tcp", "udp"); err != nil {
		return err
	}
	switch {
	case o.evidence == "":
		return usageError{errors.New("--from-evidence is missing; name an endpoint or a file")}
	case o.write != "" && !strings.HasSuffix(o.write, ".probes"):
		return usageError{errors.New("--write wants a name that ends in .probes")}
	}
	answers, err := o.answers(c)
	if err != nil {
		return err
	}
	lines, examples, err := drafts(answers)
	if err != nil {
		return err
	}
	if o.write != "" {
		if err := writeNew(o.write, lines); err != nil {
			return err
		}
		return writeNew(strings.TrimSuffix(o.write, ".probes")+".examples", examples)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "# own.probes\n%s\n# own.examples\n%s", lines, examples)
	return err
}

// drafts gives the texts of a probe file and of its examples. An answer that a
// line explains, a draft before it too, is left out, unless all are.
func drafts(answers []draft.Answer) (lines, examples []byte, err error) {
	sources, err := probes.Builtin()
	if err != nil {
		return nil, nil, err
	}
	var left error
	for i := range answers {
		s, err := draft.New(answers[i], sources...)
		if errors.Is(err, draft.ErrExplained) || errors.Is(err, draft.ErrEmpty) {
			left = err
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if len(lines) > 0 {
			lines, examples = append(lines, '\n'), append(examples, '\n')
		}
		lines, examples = append(lines, s.Probes...), append(examples, s.Example...)
		sources = append([]probes.Source{{Name: "draft", Data: s.Probes, Overlay: true}}, sources...)
	}
	if len(lines) == 0 {
		return nil, nil, fmt.Errorf("nothing to draft: %w", left)
	}
	return lines, examples, nil
}

// writeNew creates a file that must not exist yet.
func writeNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write draft: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// answers reads what --from-evidence names: a file, if there is one.
func (o *newOptions) answers(c *cobra.Command) ([]draft.Answer, error) {
	in := c.InOrStdin()
	if o.evidence != "-" {
		f, err := os.Open(o.evidence)
		if errors.Is(err, fs.ErrNotExist) {
			if key, ok := parseEndpoint(o.evidence); ok {
				return o.known(c.Context(), key)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("evidence: %w; name a readable file, or an endpoint such as 192.0.2.1:22/tcp", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxEvidenceFile))
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	if list, ok := o.observed(data); ok {
		return list, nil
	}
	return []draft.Answer{{Transport: probes.Transport(o.transport), Probe: o.probe, Service: o.service,
		Data: data[:min(len(data), match.MaxAnswer)], Source: "answer to " + o.probe}}, nil
}

// observed reads JSON lines; ok is false if that is not what data is.
func (o *newOptions) observed(data []byte) (list []draft.Answer, ok bool) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxEvidenceFile)
	for lines.Scan() {
		var v struct {
			probes.Observation
			Endpoint *probes.Observation `json:"endpoint"` // of an event
		}
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if json.Unmarshal(lines.Bytes(), &v) != nil {
			return nil, false
		}
		if v.Endpoint != nil {
			v.Endpoint.Evidence = v.Evidence
			v.Observation = *v.Endpoint
		}
		list = append(list, o.answerOf(&v.Observation)...)
		ok = true
	}
	return list, ok && lines.Err() == nil
}

// answerOf gives the answer that an observation rests on, if it has one.
func (o *newOptions) answerOf(v *probes.Observation) []draft.Answer {
	if v.Evidence == nil || v.Evidence.Probe == "" {
		return nil
	}
	a := draft.Answer{Transport: v.Transport, Probe: v.Evidence.Probe, Data: v.Evidence.Answer,
		Service: o.service, Source: fmt.Sprintf("answer of %v/%s", netip.AddrPortFrom(v.Addr, v.Port), v.Transport)}
	if a.Service == "" && v.Strength == probes.Table {
		a.Service = v.Service
	}
	return []draft.Answer{a}
}

// parseEndpoint reads "192.0.2.1:22/tcp".
func parseEndpoint(s string) (key probes.Endpoint, ok bool) {
	at, transport, ok := strings.Cut(s, "/")
	ap, err := netip.ParseAddrPort(at)
	key = probes.Endpoint{Addr: ap.Addr(), Port: ap.Port(), Transport: probes.Transport(transport)}
	return key, ok && err == nil && (key.Transport == probes.TCP || key.Transport == probes.UDP)
}

// known reads the inventory.
func (o *newOptions) known(ctx context.Context, key probes.Endpoint) ([]draft.Answer, error) {
	dir, err := o.state.resolve()
	if err != nil {
		return nil, err
	}
	r, err := inventory.OpenReadOnly(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for e, err := range r.Endpoints(ctx, inventory.Filter{}) {
		if err != nil {
			return nil, err
		}
		if e.Key.Addr != key.Addr || e.Key.Port != key.Port || e.Key.Transport != key.Transport {
			continue
		}
		v := e.Current
		v.Addr, v.Port, v.Transport = key.Addr, key.Port, key.Transport
		if list := o.answerOf(&v); len(list) > 0 {
			return list, nil
		}
		return nil, fmt.Errorf("evidence: %s: no answer is kept of it", o.evidence)
	}
	return nil, fmt.Errorf("evidence: %s is not in the inventory of %s", o.evidence, dir)
}
