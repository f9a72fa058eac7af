package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/spf13/cobra"

	"sonde/config"
	"sonde/probes"
)

type planOptions struct {
	config, output, allowlist string
	sources                   []string
}

func newPlanCommand() *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan",
		Short: "Compute what a configuration costs, and whether its promises can hold",
		Long: `Computes from a configuration, per watch and in all, the packets and the time
of a sweep, the load on the wire and on one host, the visits, the memory, and
how old knowledge gets at most. Where a promise cannot hold within the limits,
it names the keys to change and their values, and ends with exit code 1. It says
how hosts are found of IPv6 networks that are too large to be walked, and how
many hosts the kernel's neighbour table must hold.

All figures are those of the worst case, in which every address stays silent.
Nothing is sent: the way to the targets is read from this machine's routes.

With --allowlist it prints instead what an intrusion detection system needs to
know of discovery, so that it need not raise an alarm: where it comes from and
where it goes. The source addresses are those that this machine's routes give
each watch, or those of --source.`,
		Example: `  sonde plan -c /etc/sonde/sonde.toml
  sonde plan -c /etc/sonde/sonde.toml -o json
  sonde plan -c /etc/sonde/sonde.toml --allowlist suricata --source 192.0.2.10`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	addConfigFlag(c, &o.config)
	f := c.Flags()
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	f.StringVar(&o.allowlist, "allowlist", "", "print an allow-list in this `FORMAT`: suricata, zeek or csv")
	f.StringArrayVar(&o.sources, "source", nil, "`ADDRESS` of the sensor in the allow-list, instead of those of the routes; may be repeated")
	for flag, words := range map[string][]string{
		"output": {"text", "json"}, "allowlist": {"suricata", "zeek", "csv"}} {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	return c
}

func (o *planOptions) run(c *cobra.Command) (err error) {
	if err = oneOf("output", o.output, "text", "json"); err != nil {
		return err
	}
	sources, err := o.check()
	if err != nil {
		return err
	}
	cfg := config.Default()
	if o.config != "" {
		if cfg, err = loadConfigBy(config.LoadDraft, o.config); err != nil {
			return err
		}
	}
	chosen := chosenDatabase(&cfg.Database, nil)
	db, err := chosen.load()
	if err != nil {
		return err
	}
	net := openNetwork(slog.New(slog.DiscardHandler))
	defer func() { err = errors.Join(err, net.Close()) }()
	if o.allowlist != "" {
		rows, err := allowRows(cfg, sources, net.reach())
		if err != nil {
			return err
		}
		return writeAllowlist(c.OutOrStdout(), o.allowlist, rows)
	}
	how, err := net.method(cfg.Discovery.Method)
	if err != nil { // packets are demanded; that this user may not send them is no matter
		how = method{config.SYN, "demanded; " + err.Error()}
	}
	p := newCostPlan(cfg, db, how, net.reach())
	p.Total.Neighbors = net.neighbors(cfg)
	p.Problems = append(p.Problems, net.interfaceProblems(cfg)...)
	if o.output == "json" {
		err = json.NewEncoder(c.OutOrStdout()).Encode(p)
	} else {
		err = p.writeText(c.OutOrStdout())
	}
	if err == nil && len(p.Problems) > 0 {
		err = errSilent // the plan itself has said what
	}
	return err
}

// check refuses values that make no allow-list.
func (o *planOptions) check() ([]netip.Addr, error) {
	if o.allowlist != "" {
		if err := oneOf("allowlist", o.allowlist, "suricata", "zeek", "csv"); err != nil {
			return nil, err
		}
	}
	if len(o.sources) > 0 && o.allowlist == "" {
		return nil, usageError{errors.New("--source is for an allow-list; give --allowlist too")}
	}
	var out []netip.Addr
	for _, s := range o.sources {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, usageError{fmt.Errorf("--source %q is no address; write one like 192.0.2.10", s)}
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}

// costing says what a try costs with the probes of a database.
func costing(db *probes.Database, how method) config.Costing {
	type asked struct {
		allow probes.Needs
		port  uint16
	}
	counts := map[asked]int{}
	return config.Costing{SYN: how.name == config.SYN, Datagrams: func(w *config.Watch, port uint16) int {
		k := asked{mannerOf(w).allow.Needs(), port}
		n, counted := counts[k]
		if !counted {
			n = len(db.UDPPayloads(port, k.allow))
			counts[k] = n
		}
		return n
	}}
}
