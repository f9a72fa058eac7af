// Package report renders what was found for people and for programs.
//
// Every string that came from the network is made printable before it is
// written: a terminal gets no control byte from a scanned host.
package report

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sonde/probes"
	"sonde/probes/ports"
)

// maxInfo is how many distinct values the Service Info line shows of a kind.
const maxInfo = 5

// A Host is one address of a scan and what was found there.
type Host struct {
	Addr   netip.Addr
	Names  []string             // by which the user called it
	PTR    []string             // by which the name system does
	Ports  []probes.Observation // shown one by one
	Hidden []Hidden             // counted only
}

// Hidden counts the ports of one state that are not listed.
type Hidden struct {
	Count     int
	State     probes.State
	Transport probes.Transport
	Reason    string
}

// A Summary closes a report.
type Summary struct {
	Version string
	Hosts   int   // scanned
	Up      int   // of which any answered
	Ports   int64 // asked, over all hosts
	Open    int
	Elapsed time.Duration
}

// Text writes the table of each host in the manner of nmap's, and below it what
// no signature explains; submitTo says where to go with that.
func Text(w io.Writer, hosts []Host, submitTo string) error {
	var b strings.Builder
	for i := range hosts {
		writeHost(&b, &hosts[i], submitTo)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Closing writes the last line of a report.
func Closing(w io.Writer, s Summary) error {
	_, err := fmt.Fprintf(w, "Sonde %s done: %s (%d up), %s asked, %d open, in %.2f seconds\n",
		s.Version, Plural(s.Hosts, "address", "addresses"), s.Up,
		Plural(s.Ports, "port", "ports"), s.Open, s.Elapsed.Seconds())
	return err
}

func writeHost(b *strings.Builder, h *Host, submitTo string) {
	fmt.Fprintf(b, "Sonde scan report for %s", h.Addr)
	if names := slices.Concat(h.Names, h.PTR); len(names) > 0 {
		fmt.Fprintf(b, " (%s)", Printable(strings.Join(names, ", ")))
	}
	b.WriteByte('\n')
	if len(h.Hidden) > 0 {
		b.WriteString("Not shown: ")
		for i, n := range h.Hidden {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(b, "%d %s %s", n.Count, n.State,
				strings.TrimPrefix(Plural(n.Count, string(n.Transport)+" port",
					string(n.Transport)+" ports"), fmt.Sprint(n.Count)+" "))
			if n.Reason != "" {
				fmt.Fprintf(b, " (%s)", n.Reason)
			}
		}
		b.WriteByte('\n')
	}
	if len(h.Ports) == 0 {
		return
	}
	list := h.sorted()
	t := tabwriter.NewWriter(b, 0, 8, 1, ' ', tabwriter.StripEscape)
	fmt.Fprintln(t, "PORT\tSTATE\tSERVICE\tVERSION")
	for i := range list {
		o := &list[i]
		line := fmt.Sprintf("%d/%s\t%s\t%s\t%s", o.Port, o.Transport, o.State,
			serviceNames(o), Printable(VersionText(o)))
		fmt.Fprintln(t, strings.TrimRight(line, "\t"))
	}
	_ = t.Flush() // a strings.Builder takes everything
	if line := serviceInfo(h, list); line != "" {
		fmt.Fprintln(b, line)
	}
	writePrograms(b, list)
	writeFingerprints(b, list, submitTo)
}

// ServiceName is the service as nmap writes it: "ssl/" before what runs in a
// tunnel, "?" behind what only the port number says.
func ServiceName(o *probes.Observation) string { return serviceName(o, o.Service) }

// serviceNames is the same with all names of a port of which only the number
// is known, as any of them may be meant.
func serviceNames(o *probes.Observation) string {
	if names := ports.Names(o.Port, string(o.Transport)); o.Strength == probes.Table && slices.Contains(names, o.Service) {
		return serviceName(o, strings.Join(names, "|"))
	}
	return ServiceName(o)
}

func serviceName(o *probes.Observation, name string) string {
	if name == "" {
		name = "unknown"
	}
	if o.Tunnel != probes.NoTunnel {
		name = "ssl/" + name
	}
	if o.Strength == probes.Table {
		name += "?"
	}
	return Printable(name)
}

// VersionText joins product, version and info, and says what is odd about the
// outcome where there is nothing to join: of what policy held back, why.
func VersionText(o *probes.Observation) string {
	var parts []string
	for _, s := range []string{o.Product, o.Version} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if o.Info != "" {
		parts = append(parts, "("+o.Info+")")
	}
	if len(parts) == 0 && o.Outcome == probes.OutcomeHeld && o.Reason != "" {
		return "[" + string(o.Outcome) + ": " + o.Reason + "]"
	}
	if len(parts) == 0 && o.Outcome != "" && o.Outcome != probes.OutcomeAnswered {
		return "[" + string(o.Outcome) + "]"
	}
	return strings.Join(parts, " ")
}

// serviceInfo is nmap's last line of a host: names that it gave itself,
// operating systems, device types and CPE names of these.
func serviceInfo(h *Host, ports []probes.Observation) string {
	var hosts, oses, devices, cpes []string
	for i := range ports {
		o := &ports[i]
		if o.Hostname != "" && !slices.ContainsFunc(h.Names, func(n string) bool {
			return strings.EqualFold(n, o.Hostname)
		}) {
			hosts = addDistinct(hosts, o.Hostname)
		}
		oses = addDistinct(oses, o.OS)
		devices = addDistinct(devices, o.Device)
		for _, c := range o.CPE {
			if !strings.HasPrefix(c, "cpe:/a") {
				cpes = addDistinct(cpes, c)
			}
		}
	}
	var parts []string
	for _, p := range []struct {
		one, many string
		values    []string
	}{
		{"Host", "Hosts", hosts}, {"OS", "OSs", oses},
		{"Device", "Devices", devices}, {"CPE", "CPE", cpes},
	} {
		switch len(p.values) {
		case 0:
		case 1:
			parts = append(parts, p.one+": "+p.values[0])
		default:
			parts = append(parts, p.many+": "+strings.Join(p.values, ", "))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Service Info: " + Printable(strings.Join(parts, "; "))
}

func addDistinct(list []string, s string) []string {
	if s == "" || len(list) == maxInfo || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// Plural gives "1 port" or "2 ports".
func Plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Printable replaces every byte that is not printable ASCII by '.'.
func Printable(s string) string {
	clean := func(c byte) bool { return c >= 0x20 && c < 0x7f }
	for i := range len(s) {
		if !clean(s[i]) {
			b := []byte(s)
			for j := range b {
				if !clean(b[j]) {
					b[j] = '.'
				}
			}
			return string(b)
		}
	}
	return s
}
