package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sonde/config"
)

// writeText prints the plan for people: a block per watch, one for all, and
// what cannot hold.
func (p *costPlan) writeText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "discovery\t%s: %s\n", p.Discovery.Method, p.Discovery.Reason)
	for i := range p.Watches {
		p.Watches[i].write(t)
	}
	p.Total.write(t)
	if err := t.Flush(); err != nil {
		return err
	}
	return errors.Join(p.writeProblems(w)...)
}

// writeProblems says what cannot hold, and what would be enough.
func (p *costPlan) writeProblems(w io.Writer) (errs []error) {
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format, args...)
		errs = append(errs, err)
	}
	if len(p.Problems) == 0 {
		say("\nThe promises can hold.\n")
		return errs
	}
	say("\n")
	for _, q := range p.Problems {
		say("watch %s: %s %s\n", q.Watch, q.Key, q.Reason)
	}
	for i, r := range p.Remedies {
		if i == 0 {
			say("\nAll promises can hold with\n")
		} else {
			say("or with\n")
		}
		for _, line := range r {
			say("  %s\n", line)
		}
	}
	return errs
}

func (p *watchPlan) write(t io.Writer) {
	fmt.Fprintf(t, "\nwatch %s\n", p.Name)
	fmt.Fprintf(t, "  targets\t%s, %d TCP and %d UDP ports\n", p.addresses(), p.TCPPorts, p.UDPPorts)
	way := joinWays(p.Ways)
	if p.NoWay != "" {
		way = strings.TrimPrefix(way+"; "+p.NoWay, "; ")
	}
	if p.Interface != "" {
		fmt.Fprintf(t, "  interface\t%s, in zone %s\n", p.Interface, p.Zone)
	}
	fmt.Fprintf(t, "  way\t%s\n", way)
	if p.Hosts != nil {
		fmt.Fprintf(t, "  hosts\t%s\n", p.Hosts)
	}
	p.costFigures.write(t)
	if p.HostPackets > 0 {
		fmt.Fprintf(t, "  one address\t%.0f packets per sweep, in %s at least\n", p.HostPackets, short(p.HostSeconds))
	}
	once := ""
	if p.Hosts != nil && len(p.Hosts.Networks) > 0 {
		once = "; of large networks on hosts that were found"
	}
	fmt.Fprintf(t, "  new service\tseen within %s, each port tried every %s%s\n", short(p.FoundWithin), short(p.DiscoverEvery), once)
	kept := ""
	if p.BestEffort {
		kept = "; best effort"
	}
	fmt.Fprintf(t, "  change\tseen within %s, each service asked every %s%s\n", short(p.KnownWithin), short(p.VerifyEvery), kept)
}

func (f *costFigures) addresses() string {
	s := fmt.Sprintf("%d addresses", f.Addresses)
	if f.Addresses == 1 {
		s = "1 address"
	}
	if f.IPv6 > 0 {
		s += fmt.Sprintf(", %d of them IPv6", f.IPv6)
	}
	if f.NetworkHosts > 0 {
		s += fmt.Sprintf(", %d of them hosts that may be found", f.NetworkHosts)
	}
	if f.Loopback > 0 {
		s += fmt.Sprintf(", %d of them loopback, which costs nothing", f.Loopback)
	}
	return s
}

// write leaves out what is nothing: loopback costs nothing.
func (f *costFigures) write(t io.Writer) {
	if f.Addresses == f.Loopback {
		return
	}
	fmt.Fprintf(t, "  sweep\t%.0f packets, in %s at least\n", f.SweepPackets, short(f.SweepSeconds))
	fmt.Fprintf(t, "  load\t%.1f packets/s on average, %.3f Mbit/s; %.3f Mbit/s while it sweeps\n",
		f.MeanPacketsPerSecond, f.MeanMbits, f.PeakMbits)
	fmt.Fprintf(t, "  visits\t%.0f per hour, if each address has %d services; up to %d connections at once\n",
		f.VisitsPerHour, config.ServicesPerHost, f.Connections)
}

func (p *totalPlan) write(t io.Writer) {
	fmt.Fprintf(t, "\nall watches\n")
	fmt.Fprintf(t, "  targets\t%s\n", p.addresses())
	p.costFigures.write(t)
	fmt.Fprintf(t, "  limits\t%.0f %% of packets_per_second, %.0f %% of the connections of discovery, %.0f %% of those of visits\n",
		100*p.UsePackets, 100*p.UseDiscovery, 100*p.UseVisits)
	fmt.Fprintf(t, "  memory\tabout %d MiB\n", p.MemoryMiB)
	for i := range p.Neighbors {
		p.Neighbors[i].write(t)
	}
}

// short writes a number of seconds as a time without empty parts.
func short(seconds float64) string {
	s := secs(seconds).Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
