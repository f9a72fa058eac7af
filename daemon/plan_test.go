package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sonde/config"
)

// Rules must stay below the length that Suricata reads, whatever the watch,
// and be of its form; together they allow exactly the targets.
func TestSuricataRules(t *testing.T) {
	var odd []string
	for p := 1; p < 4000; p += 2 {
		odd = append(odd, fmt.Sprint(p))
	}
	cfg := parseConfig(t, fmt.Sprintf(`
[[watch]]
name = "wide"
targets = ["10.0.0.1-10.3.255.254", "fd00::1-fd00::fffe"]
i_am_authorised = true
tcp_ports = %q
udp_ports = "53"
best_effort = true
`, strings.Join(odd, ",")))
	for i := range 200 { // addresses apart, so that each is a prefix
		a := netip.AddrFrom4([4]byte{172, 16, byte(i), 1})
		cfg.Watches[0].Targets = append(cfg.Watches[0].Targets, config.Range{First: a, Last: a})
	}
	sources := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	rows, err := allowRows(cfg, sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeSuricata(&b, rows); err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`^pass (tcp|udp) \[([0-9a-f.:,]+)\] 61000:61255 <> \[([0-9a-f.:/,]+)\] (any|\[[0-9:,]+\]) ` +
		`\(msg:"[^"]+"; sid:(\d+); rev:1;\)$`)
	ids, targets := map[string]bool{}, map[string]int{}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		m := rule.FindStringSubmatch(line)
		if m == nil || len(line) > 8000 {
			t.Fatalf("%d bytes: %.200s", len(line), line)
		}
		if ids[m[5]] {
			t.Errorf("number %s comes twice", m[5])
		}
		ids[m[5]] = true
		for p := range strings.SplitSeq(m[3], ",") {
			targets[m[1]+" "+p]++
		}
		if is4 := !strings.Contains(m[2], ":"); is4 == strings.Contains(m[3], "::") {
			t.Errorf("families mixed: %.200s", line)
		}
	}
	for _, p := range prefixes(cfg.Scope(&cfg.Watches[0])) {
		for _, transport := range []string{"tcp ", "udp "} {
			if targets[transport+p.String()] != 1 {
				t.Errorf("%s%v stands in %d rules", transport, p, targets[transport+p.String()])
			}
			delete(targets, transport+p.String())
		}
	}
	if len(targets) > 0 {
		t.Errorf("rules for what is no target: %v", targets)
	}
}

func TestWaysOf(t *testing.T) {
	gone := errors.New("no route")
	from := func(s string) way { return way{Source: netip.MustParseAddr(s)} }
	hop := func(a netip.Addr) (way, error) {
		switch b := a.As4(); {
		case b[1] == 9:
			return way{}, gone
		case b[1] >= 128:
			return from("10.0.0.2"), nil
		case b == [4]byte{10, 0, 0, 255}:
			return from("10.0.0.3"), nil // the last of its range
		}
		return from("10.0.0.1"), nil
	}
	for _, tt := range []struct {
		scope string
		want  []way
		err   error
	}{
		{"10.0.0.7", []way{from("10.0.0.1")}, nil},
		{"10.0.0.0/8", []way{from("10.0.0.1"), from("10.0.0.2")}, nil},
		{"10.0.0.0/24", []way{from("10.0.0.1"), from("10.0.0.3")}, nil},
		{"10.9.0.0/24", nil, gone},
	} {
		w := config.Watch{Targets: []config.Range{mustRange(t, tt.scope)}}
		got, err := waysOf(&config.Config{}, &w, sampled(hop))
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.scope, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.scope, diff)
		}
	}
}

func TestKernelWayToLoopback(t *testing.T) {
	w, err := kernelWay(netip.MustParseAddr("127.0.0.1"))
	if err != nil || w.Source != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("%v, %v", w, err)
	}
}
