package report

import (
	"fmt"
	"strings"

	"sonde/probes"
)

// writePrograms shows the lists of port mappers, one that several ports give
// alike once. A program behind a port of its own stands in the table already.
func writePrograms(b *strings.Builder, ports []probes.Observation) {
	at := map[string][]string{}
	var lists []string // in the order of the ports
	for i := range ports {
		o := &ports[i]
		if len(o.RPC) == 0 || o.Service != "rpcbind" {
			continue
		}
		text := programsText(o.RPC)
		if at[text] == nil {
			lists = append(lists, text)
		}
		at[text] = append(at[text], fmt.Sprintf("%d/%s", o.Port, o.Transport))
	}
	for _, text := range lists {
		fmt.Fprintf(b, "SunRPC programs (%s): %s\n", strings.Join(at[text], ", "), text)
	}
}

func programsText(list []probes.RPCFacts) string {
	parts := make([]string, len(list))
	for i, f := range list {
		versions := fmt.Sprintf("%d-%d", f.Low, f.High)
		if f.Low == f.High {
			versions = fmt.Sprint(f.Low)
		}
		name := f.Name
		if name == "" {
			name = "unknown"
		}
		parts[i] = fmt.Sprintf("%s %s #%d", Printable(name), versions, f.Program)
	}
	return strings.Join(parts, ", ")
}
