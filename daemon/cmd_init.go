package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sonde/config"
)

func newInitCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "init",
		Short: "Propose a first configuration from the networks of this machine",
		Long: `Writes a configuration with one watch for each network that an interface of this
machine is in, each with what it would cost. All of them are commented out: nothing
is watched until you take the # away. Nothing is sent.

Look at it, take in what you may scan, exclude what must not be touched (printers,
controllers, what belongs to others), and go on with "sonde check" and "sonde plan".`,
		Example: `  sonde init
  sonde init --file /etc/sonde/conf.d/watches.toml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			nets, err := attached()
			if err != nil {
				return fmt.Errorf("networks of this machine: %w", err)
			}
			text, err := firstConfig(nets)
			if err != nil {
				return err
			}
			if file == "" {
				_, err := c.OutOrStdout().Write(text)
				return err
			}
			return writeFirst(c, file, text)
		},
	}
	c.Flags().StringVar(&file, "file", "", "write to this new `FILE` instead of the terminal")
	return c
}

// writeFirst writes to a file that is not there yet.
func writeFirst(c *cobra.Command, file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w; it is left as it is: name another one, or none to see the text", err)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: written; take the # from what you want to watch, then run sonde check\n", file)
	return err
}

// A subnet is a network that an interface of this machine is in.
type subnet struct {
	iface string
	own   netip.Prefix // address of this machine, and the length of the network's
}

// attached lists the networks of the interfaces that are up, as the kernel tells
// them (by netlink, on Linux). Loopback, which is watched by default, link-local
// networks and those of one address are left out.
func attached() ([]subnet, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var list []subnet
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.Name, err)
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || p.Addr().IsLinkLocalUnicast() || p.IsSingleIP() {
				continue
			}
			list = append(list, subnet{i.Name, p})
		}
	}
	return list, nil
}

// firstConfig writes the proposals.
func firstConfig(nets []subnet) (text []byte, err error) {
	chosen := chosenDatabase(&config.Default().Database, nil)
	db, err := chosen.load()
	if err != nil {
		return nil, err
	}
	network := openNetwork(slog.New(slog.DiscardHandler))
	defer func() { err = errors.Join(err, network.Close()) }()
	var out bytes.Buffer
	out.WriteString(`# Proposed by "sonde init" from the networks that this machine is in. Nothing
# below is watched until its "#" is taken away. Watch only what you may scan, and
# exclude what must not be touched. "sonde check" finds mistakes, "sonde plan" says
# what it costs, sonde.toml(5) has every key.
`)
	if len(nets) == 0 {
		out.WriteString("\n# This machine is in no network but its own.\n")
	}
	names := map[string]int{}
	var seen []netip.Prefix
	for _, n := range nets {
		if slices.Contains(seen, n.own.Masked()) {
			continue // two interfaces, or two addresses, in one network
		}
		seen = append(seen, n.own.Masked())
		names[n.iface]++
		p := proposal{subnet: n, name: watchName(n.iface, names[n.iface])}
		p.choose(func(cfg *config.Config) watchPlan {
			how, err := network.method(cfg.Discovery.Method)
			if err != nil {
				how = method{config.SYN, err.Error()}
			}
			return newCostPlan(cfg, db, how, network.reach()).Watches[0]
		})
		p.write(&out)
	}
	return out.Bytes(), nil
}

// watchName makes the name of a watch from that of an interface.
func watchName(iface string, n int) string {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			return c
		}
		return '-'
	}, iface)
	if n > 1 {
		name = fmt.Sprintf("%s-%d", name, n)
	}
	return name
}

// A proposal is a watch that would do.
type proposal struct {
	subnet
	name   string
	lines  []string // of the watch, in TOML
	cost   watchPlan
	reason error // why none would do
}

// choose takes the most frequent discovery and visits that can hold.
func (p *proposal) choose(cost func(*config.Config) watchPlan) {
	for _, every := range [][2]string{{"1h", "15m"}, {"4h", "1h"}, {"1d", "4h"}, {"7d", "12h"}, {"30d", "1d"}} {
		lines := []string{"[[watch]]", fmt.Sprintf("name = %q", p.name),
			fmt.Sprintf("targets = [%q]", p.own.Masked()), "exclude = []", fmt.Sprintf("discover_every = %q", every[0]),
			fmt.Sprintf("verify_every = %q", every[1])}
		text := strings.Join(lines, "\n") + "\n"
		cfg, err := config.Parse([]config.Source{{Name: p.name, Data: []byte(text)}}, nil)
		if err == nil {
			cfg.Resolve("", "", "")
			p.lines, p.cost, p.reason = lines, cost(cfg), nil
			return
		}
		p.reason = err
	}
}

func (p *proposal) write(out *bytes.Buffer) {
	fmt.Fprintf(out, "\n# %s on %s, where this machine is %s.\n", p.own.Masked(), p.iface, p.own.Addr())
	if p.reason != nil {
		var mistakes config.Errors
		why := p.reason.Error()
		if errors.As(p.reason, &mistakes) && len(mistakes) > 0 {
			why = mistakes[0].Error()
		}
		fmt.Fprintf(out, "# Not proposed: %s\n", why)
		return
	}
	c := &p.cost
	fmt.Fprintf(out, "# Cost: %d addresses, %.0f packets a sweep, which takes %s at least; %.0f packets/s\n"+
		"# and %.3f Mbit/s on average. A new service is seen within %s, a change within %s.\n",
		c.Addresses, c.SweepPackets, short(c.SweepSeconds), c.MeanPacketsPerSecond, c.MeanMbits,
		short(c.FoundWithin), short(c.KnownWithin))
	for _, l := range p.lines {
		fmt.Fprintf(out, "#%s\n", l)
	}
}
