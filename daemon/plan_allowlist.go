package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"sonde/capture/frame"
	"sonde/config"
	"sonde/probes/ports"
)

// An allowRow is what discovery of one watch and transport sends to addresses
// of one family: what an intrusion detection system need not call a scan.
type allowRow struct {
	watch, transport string // tcp, udp or icmp, which has no ports
	sources          []netip.Addr
	sourcePorts      string // "61000-61255", "any"
	targets          []netip.Prefix
	ports            ports.Set
}

// allowRows gives the rows of all watches. Without sources it takes those of
// this machine's routes.
func allowRows(cfg *config.Config, sources []netip.Addr, reach reachFunc) ([]allowRow, error) {
	var rows []allowRow
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		from := sources
		if len(sources) == 0 {
			ways, err := waysOf(cfg, w, reach)
			if err != nil {
				return nil, fmt.Errorf("watch %s: %w; run this on the sensor, or give its addresses with --source", w.Name, err)
			}
			for _, y := range ways {
				from = append(from, y.Source)
			}
		}
		for _, is4 := range []bool{true, false} {
			r := allowRow{watch: w.Name, sourcePorts: sourcePortsOf(cfg, w),
				sources: only(from, is4, netip.Addr.Is4),
				targets: only(prefixes(cfg.Scope(w)), is4, func(p netip.Prefix) bool { return p.Addr().Is4() })}
			if len(r.targets) == 0 {
				continue
			}
			if len(r.sources) == 0 {
				return nil, fmt.Errorf("watch %s: no source address for its targets %s and others of their family; give it with --source",
					w.Name, r.targets[0])
			}
			list := ports.List{TCP: w.TCPPorts, UDP: w.UDPPorts}
			for _, transport := range []string{"tcp", "udp"} {
				if r.transport, r.ports = transport, list.Of(transport); !r.ports.IsEmpty() {
					rows = append(rows, r)
				}
			}
			if searched := echoed(cfg, w, r.targets, is4); len(searched) > 0 {
				r.transport, r.sourcePorts, r.ports, r.targets = "icmp", "any", ports.Set{}, searched
				rows = append(rows, r)
			}
		}
	}
	return rows, nil
}

// echoed gives where echo requests of a watch go, of the targets of one family: to
// all of them, or to all nodes of a link.
func echoed(cfg *config.Config, w *config.Watch, targets []netip.Prefix, is4 bool) (out []netip.Prefix) {
	if w.Hosts.Echo {
		out = append(out, targets...)
	}
	if cfg.CallsAllNodes(w) && !is4 && len(cfg.Networks(w).Ranges()) > 0 {
		out = append(out, netip.PrefixFrom(frame.AllNodes, frame.AllNodes.BitLen()))
	}
	return out
}

// sourcePortsOf gives the ports that discovery of a watch sends from: "any"
// where connections do it.
func sourcePortsOf(cfg *config.Config, w *config.Watch) string {
	if _, far := cfg.Scope(w).SplitLoopback(); far.Len() == 0 || cfg.Discovery.Method == config.Connect {
		return "any"
	}
	return cfg.Discovery.SourcePorts.String()
}

// only gives the different elements for which is gives want, in order.
func only[T comparable](list []T, want bool, is func(T) bool) (out []T) {
	for _, x := range list {
		if is(x) == want && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func writeAllowlist(w io.Writer, format string, rows []allowRow) error {
	switch format {
	case "suricata":
		return writeSuricata(w, rows)
	case "zeek":
		return writeZeek(w, rows)
	default:
		return writeCSV(w, rows)
	}
}

// writeCSV writes one line per source and target.
func writeCSV(w io.Writer, rows []allowRow) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"watch", "transport", "source", "source_ports", "target", "target_ports"}); err != nil {
		return err
	}
	for _, r := range rows {
		for _, s := range r.sources {
			for _, t := range r.targets {
				if err := out.Write([]string{r.watch, r.transport, s.String(), r.sourcePorts,
					t.String(), r.ports.String()}); err != nil {
					return err
				}
			}
		}
	}
	out.Flush()
	return out.Error()
}

// Suricata reads a rule into 8,192 bytes at most. 80 IPv6 prefixes of 43 bytes
// are 3,520, as many sources hardly exist, and ports have 2,000.
const (
	suricataTargets = 80
	suricataPorts   = 2000
	// Numbers of rules from 1,000,000 to 1,999,999 are for local ones.
	suricataFirst = 1_990_001
)

// writeSuricata writes pass rules, which Suricata looks at before all others
// unless its action-order says something else.
func writeSuricata(w io.Writer, rows []allowRow) error {
	var b strings.Builder
	b.WriteString(`# Suricata rules: discovery by Sonde raises no alarm.
# Add this file to rule-files, or append it to local.rules.
# Only what discovery sends, and its answers. Conversations with services that
# it found come from other ports of the same addresses and are inspected.
`)
	id := suricataFirst
	for _, r := range rows {
		from := make([]string, len(r.sources))
		for i, s := range r.sources {
			from[i] = s.String()
		}
		to := "any"
		if s := suricataRange(r.ports.String()); s != "" && len(s) <= suricataPorts {
			to = "[" + s + "]"
		}
		for part := range slices.Chunk(r.targets, suricataTargets) {
			targets := make([]string, len(part))
			for i, p := range part {
				targets[i] = p.String()
			}
			fmt.Fprintf(&b, "pass %s [%s] %s <> [%s] %s (msg:\"Sonde discovery, watch %s\"; sid:%d; rev:1;)\n",
				r.transport, strings.Join(from, ","), suricataRange(r.sourcePorts),
				strings.Join(targets, ","), to, r.watch, id)
			id++
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// suricataRange writes ranges of ports as Suricata does, with a colon.
func suricataRange(s string) string { return strings.ReplaceAll(s, "-", ":") }

// writeZeek writes a script for local.zeek: notices about discovery are
// neither logged nor mailed. It comes before the policy that logs them, whose
// priority is 10. Zeek's notices name no port of a scan, so that a notice
// without a connection is judged by addresses alone.
func writeZeek(w io.Writer, rows []allowRow) error {
	var sources []netip.Addr
	var targets []netip.Prefix
	sourcePorts := "any"
	for i, r := range rows {
		sources, targets = append(sources, r.sources...), append(targets, r.targets...)
		if i == 0 {
			sourcePorts = r.sourcePorts
		} else if r.sourcePorts != sourcePorts {
			sourcePorts = "any"
		}
	}
	always := func(netip.Addr) bool { return true }
	sources = only(sources, true, always)
	targets = only(targets, true, func(netip.Prefix) bool { return true })
	var b strings.Builder
	b.WriteString(`# Zeek script: discovery by Sonde raises no notice.
# Save it as sonde.zeek beside local.zeek, and add there: @load ./sonde
@load base/frameworks/notice

module Sonde;

export {
	## Where discovery comes from.
	const sources: set[addr] = {
`)
	for _, s := range sources {
		fmt.Fprintf(&b, "\t\t%s,\n", zeekAddr(s))
	}
	b.WriteString("\t} &redef;\n\n\t## Where it goes.\n\tconst targets: set[subnet] = {\n")
	for _, p := range targets {
		fmt.Fprintf(&b, "\t\t%s/%d,\n", zeekAddr(p.Addr()), p.Bits())
	}
	b.WriteString("\t} &redef;\n")
	first, last, fixed := strings.Cut(sourcePorts, "-")
	if fixed {
		fmt.Fprintf(&b, "\n\t## Its source ports, of TCP and UDP.\n\tconst first_port: count = %s &redef;\n"+
			"\tconst last_port: count = %s &redef;\n", first, last)
	}
	b.WriteString(`}

hook Notice::policy(n: Notice::Info) &priority=11
	{
	if ( ! n?$src || n$src !in Sonde::sources )
		return;
	if ( n?$dst && n$dst !in Sonde::targets )
		return;
`)
	if fixed {
		b.WriteString(`	if ( n?$id && ( port_to_count(n$id$orig_p) < Sonde::first_port ||
	     port_to_count(n$id$orig_p) > Sonde::last_port ) )
		return;
`)
	}
	b.WriteString("\tbreak;\n\t}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// zeekAddr writes an address as a literal of Zeek's language.
func zeekAddr(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}
