package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/capture"
	"sonde/config"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
	"sonde/probes/ports"
)

func parseConfig(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]config.Source{{Name: "test.toml", Data: []byte(text)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func mustPorts(t *testing.T, s string) ports.List {
	t.Helper()
	l, err := ports.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustDatabase(t *testing.T, text string) *probes.Database {
	t.Helper()
	db, err := probes.Load(probes.Source{Name: "test.probes", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestRulesOf(t *testing.T) {
	all, perWatch := rulesOf(config.Default())
	if diff := cmp.Diff(inventory.DefaultRules(), all); diff != "" {
		t.Errorf("the defaults of configuration and inventory differ (-inventory +config)\n%s", diff)
	}
	if len(perWatch) != 0 {
		t.Errorf("watches with rules of their own: %v", perWatch)
	}

	cfg := parseConfig(t, `
[[watch]]
name = "patient"
targets = ["10.0.0.1"]
gone_after = "2h"
[[watch]]
name = "usual"
targets = ["10.0.0.2"]
[confirm]
new_visits = 5
new_spacing = "7s"
changed_visits = 6
changed_over = "8s"
closed_visits = 9
closed_after = "10s"
filtered_visits = 11
gone_after = "12s"
`)
	all, perWatch = rulesOf(cfg)
	want := inventory.DefaultRules()
	want.NewVisits, want.NewSpacing = 5, 7*time.Second
	want.ChangedVisits, want.ChangedOver = 6, 8*time.Second
	want.ClosedVisits, want.ClosedAfter = 9, 10*time.Second
	want.FilteredVisits, want.GoneAfter = 11, 12*time.Second
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want.GoneAfter = 2 * time.Hour
	if diff := cmp.Diff(map[string]inventory.Rules{"patient": want}, perWatch); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestMethodOf: a pass proves absence only for what is asked alike, so two
// methods must differ where what is sent differs.
func TestMethodOf(t *testing.T) {
	const file = "Probe TCP NULL q||\n" +
		"Probe UDP A q|a|\nports 53\n" +
		"# needs: credentials\nProbe UDP B q|b|\nports 53,161\n"
	db := mustDatabase(t, file)
	other := mustDatabase(t, strings.ReplaceAll(file, "q|a|", "q|c|"))
	udp := func(s string) *config.Watch { return &config.Watch{UDPPorts: mustPorts(t, "U:"+s).UDP} }
	by := func(s, via string) *config.Watch { w := udp(s); w.Interface = via; return w }
	base := methodOf(method{name: config.Connect}, probes.UDP, udp("53"), db, 0)
	for _, tt := range []struct {
		name, method string
		same         bool
	}{
		{"again", methodOf(method{name: config.Connect}, probes.UDP, udp("53"), db, 0), true},
		{"with a port that is sent nothing special", methodOf(method{name: config.Connect}, probes.UDP, udp("53,54"), db, 0), true},
		{"with another payload", methodOf(method{name: config.Connect}, probes.UDP, udp("53"), other, 0), false},
		{"with leave to guess credentials", methodOf(method{name: config.Connect}, probes.UDP, udp("53"), db, probes.NeedCredentials), false},
		{"by an interface", methodOf(method{name: config.Connect}, probes.UDP, by("53", "eth1"), db, 0), false},
		{"to another port", methodOf(method{name: config.Connect}, probes.UDP, udp("161"), db, probes.NeedCredentials), false},
	} {
		if (tt.method == base) != tt.same {
			t.Errorf("%s: %s, the first was %s", tt.name, tt.method, base)
		}
	}
	if !strings.HasPrefix(base, "udp:") {
		t.Errorf("UDP method %q", base)
	}
	if got := methodOf(method{name: config.SYN}, probes.TCP, by("53", "eth1"), db, 0); got != "syn@eth1" {
		t.Errorf("by an interface: %s", got)
	}
	if got := methodOf(method{name: config.Connect}, probes.TCP, udp("53"), db, 0); got != "connect" {
		t.Errorf("TCP method %q", got)
	}
	syn := method{name: config.SYN}
	if got := methodOf(syn, probes.TCP, udp("53"), db, 0); got != "syn" {
		t.Errorf("TCP method %q", got)
	}
	if got := methodOf(syn, probes.UDP, udp("53"), db, 0); got != "raw-"+base {
		t.Errorf("UDP method %q", got)
	}
}

func TestPrefixes(t *testing.T) {
	for ranges, want := range map[string]string{
		"":                             "[]",
		"10.0.0.0/24":                  "[10.0.0.0/24]",
		"10.0.0.1-10.0.0.6":            "[10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32]",
		"10.0.0.1 fd00::/127 10.0.0.0": "[10.0.0.0/31 fd00::/127]",
		"fe80::1%eth0":                 "[fe80::1/128]",
		"0.0.0.0/0":                    "[0.0.0.0/0]",
	} {
		var rs []config.Range
		for s := range strings.FieldsSeq(ranges) {
			rs = append(rs, mustRange(t, s))
		}
		if got := fmt.Sprint(prefixes(config.NewAddrSet(rs...))); got != want {
			t.Errorf("%q: %s, want %s", ranges, got, want)
		}
	}
}

func TestPlansOf(t *testing.T) {
	addrs := config.NewAddrSet(mustRange(t, "10.0.0.1-10.0.0.2"))
	plans, err := plansOf(addrs, mustPorts(t, "T:1-2,U:3"))
	if err != nil || len(plans) != 2 || plans[0].Network != capture.TCP {
		t.Fatalf("plans %+v, error %v; want TCP before UDP", plans, err)
	}
	var got []string
	for i := range plans {
		for target := range plans[i].Targets() {
			got = append(got, target.Network+" "+target.Addr.String())
		}
	}
	slices.Sort(got)
	want := []string{"tcp 10.0.0.1:1", "tcp 10.0.0.1:2", "tcp 10.0.0.2:1", "tcp 10.0.0.2:2",
		"udp 10.0.0.1:3", "udp 10.0.0.2:3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNewSensor(t *testing.T) {
	cfg := parseConfig(t, `
[[watch]]
name = "both"
targets = ["10.0.0.0/29"]
exclude = ["10.0.0.7"]
tcp_ports = "22,80"
udp_ports = "53"
credentials = true
[[watch]]
name = "inner"
targets = ["10.0.0.1"]
tcp_ports = "1-100"
udp_ports = ""
`)
	db := mustDatabase(t, "Probe TCP NULL q||\n")
	loops := []engine.Loop{enginetest.New()}
	work, err := newSensor(cfg, db, nil, machine{loops: loops, net: &network{outages: newOutages(nil)}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if len(work.visitors.made) != 4 {
		t.Errorf("%d visitors for two sets of permissions, with care and without", len(work.visitors.made))
	}
	if err := work.close(); err != nil {
		t.Error(err)
	}
	both, err := newWatch(cfg, &cfg.Watches[0], method{}, db, probes.NeedCredentials)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		addr string
		t    probes.Transport
		port uint16
		want bool
	}{
		{"10.0.0.2", probes.TCP, 22, true},
		{"10.0.0.2", probes.UDP, 53, true},
		{"10.0.0.2", probes.UDP, 22, false},
		{"10.0.0.2", probes.TCP, 81, false},
		{"10.0.0.7", probes.TCP, 22, false}, // excluded
		{"10.0.0.1", probes.TCP, 22, false}, // of the inner watch
		{"10.0.0.8", probes.TCP, 22, false},
	} {
		if got := both.Contains(netip.MustParseAddr(tt.addr), tt.t, tt.port); got != tt.want {
			t.Errorf("Contains(%s, %s, %d) = %v", tt.addr, tt.t, tt.port, got)
		}
	}
	if len(both.Sweeps) != 2 || both.Sweeps[0].Pass.Ports != "22,80" || both.Sweeps[1].Pass.Ports != "53" {
		t.Fatalf("sweeps %+v", both.Sweeps)
	}
	if n, err := both.Sweeps[0].Plan.Len(); n != 6*2 || err != nil {
		t.Errorf("%d TCP targets, error %v, want 6 addresses with 2 ports", n, err)
	}
	inner, err := newWatch(cfg, &cfg.Watches[1], method{}, db, 0)
	if err != nil || len(inner.Sweeps) != 1 || inner.Sweeps[0].Transport != probes.TCP {
		t.Errorf("sweeps of a watch without UDP ports: %+v, %v", inner.Sweeps, err)
	}
}
