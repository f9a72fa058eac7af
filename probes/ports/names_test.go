package ports

import (
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		port      uint16
		transport string
		want      string
	}{
		{22, TCP, "ssh"},
		{53, UDP, "domain"},
		{443, TCP, "https"},
		{514, TCP, "shell"},
		{514, UDP, "syslog"},
		{65001, TCP, ""},
		{22, "sctp", ""},
	} {
		if got := Name(tt.port, tt.transport); got != tt.want {
			t.Errorf("Name(%d, %s) = %q, want %q", tt.port, tt.transport, got, tt.want)
		}
	}
}

func TestTablesAreSortedAndUnique(t *testing.T) {
	for _, transport := range []string{TCP, UDP} {
		table := tableOf(transport)
		names := map[string]bool{}
		for i, e := range table {
			if i > 0 && table[i-1].port >= e.port {
				t.Errorf("%s: %d does not follow %d in order", transport, e.port, table[i-1].port)
			}
			if names[e.name] {
				t.Errorf("%s: name %q stands twice", transport, e.name)
			}
			names[e.name] = true
			if l, err := Parse(e.name); err != nil || !l.Contains(transport, e.port) {
				t.Errorf("%s: name %q reads as %v, %v", transport, e.name, l, err)
			}
		}
	}
	for name := range aliases {
		if slices.ContainsFunc(tcpNames, func(e entry) bool { return e.name == name }) {
			t.Errorf("alias %q is a name of the TCP table", name)
		}
	}
}

func TestTop(t *testing.T) {
	for _, tt := range []struct {
		transport string
		least     int
		ranked    []uint16
	}{{TCP, 200, rankedTCP}, {UDP, 60, rankedUDP}} {
		size := TopSize(tt.transport)
		if len(tt.ranked) < tt.least {
			t.Errorf("%s: only %d ports ranked by hand", tt.transport, len(tt.ranked))
		}
		all := Top(tt.transport, size)
		if len(all) != size || len(Top(tt.transport, size+1)) != size {
			t.Errorf("%s: Top(%d) gives %d ports", tt.transport, size, len(all))
		}
		if got := Of(all...).Len(); got != size {
			t.Errorf("%s: %d different ports in Top(%d)", tt.transport, got, size)
		}
		for _, p := range tt.ranked {
			if Name(p, tt.transport) == "" {
				t.Errorf("%s: ranked port %d has no name", tt.transport, p)
			}
		}
		for n := range size {
			if len(Top(tt.transport, n)) != n {
				t.Fatalf("%s: Top(%d) gives %d ports", tt.transport, n, len(Top(tt.transport, n)))
			}
		}
	}
	if Top("sctp", 5) != nil || len(Top(TCP, -1)) != 0 {
		t.Error("Top of an unknown transport or a negative count is not empty")
	}
}
