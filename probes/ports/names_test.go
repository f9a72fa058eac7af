package ports

import (
	"slices"
	"strings"
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
		{3, TCP, ""},
		{10001, TCP, "scp-config"},
		{4, UDP, ""},
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

func TestSeveralNames(t *testing.T) {
	for _, tt := range []struct {
		port      uint16
		transport string
		want      []string
	}{
		{22, TCP, []string{"ssh"}},
		{9100, TCP, []string{"jetdirect", "pdl-datastream"}},
		{6000, TCP, []string{"x11"}},
		{65001, TCP, nil},
	} {
		if got := Names(tt.port, tt.transport); !slices.Equal(got, tt.want) {
			t.Errorf("Names(%d, %s) = %q, want %q", tt.port, tt.transport, got, tt.want)
		}
	}
}

// TestRegistry holds the embedded table to its form: every line is read, in
// order, and names are such as people may write.
func TestRegistry(t *testing.T) {
	lines := 0
	for line := range strings.Lines(registryText) {
		if !strings.HasPrefix(line, "#") {
			lines++
		}
	}
	distinct := map[entry]bool{}
	for _, transport := range []string{TCP, UDP} {
		last := uint16(0)
		for _, e := range registered(transport) {
			distinct[e] = true
			if e.port < last {
				t.Errorf("%s: %d follows %d", transport, e.port, last)
			}
			last = e.port
			if l, err := Parse(e.name); err != nil || l.IsEmpty() {
				t.Errorf("%s: name %q of %d: %v", transport, e.name, e.port, err)
			}
		}
	}
	if len(distinct) != lines || lines < 2200 {
		t.Errorf("%d names of %d lines", len(distinct), lines)
	}
	if l, err := Parse("scp-config"); err != nil || !l.TCP.Contains(10001) {
		t.Errorf("a name that is only registered: %v, %v", l, err)
	}
}
