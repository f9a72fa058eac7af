package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sonde/probes"
)

// Grepable writes a run as nmap does with -oG: a line for each host, its ports
// with seven fields between slashes. A slash in a field becomes "|".
func Grepable(w io.Writer, r *Run) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Sonde %s scan initiated %s as: %s\n", r.Version, r.Start.Format(time.ANSIC),
		Printable(strings.Join(r.Args, " ")))
	for i := range r.Hosts {
		h := &r.Hosts[i]
		at := fmt.Sprintf("Host: %s (%s)\t", h.Addr, h.firstName())
		b.WriteString(at + "Status: Up\n")
		if len(h.Ports) == 0 && len(h.Hidden) == 0 {
			continue
		}
		b.WriteString(strings.TrimSuffix(at, "\t"))
		for k, o := range h.sorted() {
			b.WriteString([]string{"\tPorts: ", ", "}[min(k, 1)])
			b.WriteString(grepablePort(&o))
		}
		if len(h.Hidden) > 0 {
			fmt.Fprintf(&b, "\tIgnored State: %s (%d)", h.Hidden[0].State, countOf(h.Hidden, h.Hidden[0].State))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "# Sonde done at %s -- %s (%d up) scanned in %.2f seconds\n", r.End.Format(time.ANSIC),
		Plural(r.Total, "address", "addresses"), len(r.Hosts), r.End.Sub(r.Start).Seconds())
	_, err := io.WriteString(w, b.String())
	return err
}

func countOf(hidden []Hidden, state probes.State) (n int) {
	for _, h := range hidden {
		if h.State == state {
			n += h.Count
		}
	}
	return n
}

// grepablePort gives port, state, protocol, owner, service, SunRPC information
// and version.
func grepablePort(o *probes.Observation) string {
	field := strings.NewReplacer("/", "|", ",", " ").Replace
	program := ""
	if s := xmlServiceOf(o); s != nil && s.Program != "" {
		program = fmt.Sprintf("(%s:%s*%s-%s)", Printable(o.Service), s.Program, s.Low, s.High)
	}
	return fmt.Sprintf("%d/%s/%s//%s/%s/%s/", o.Port, o.State, o.Transport,
		field(ServiceName(o)), field(program), field(Printable(VersionText(o))))
}
