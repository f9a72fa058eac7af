package config

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// draft reads a file whose promises need not hold.
func draft(t *testing.T, text string) *Config {
	t.Helper()
	c, err := parseAll([]Source{{"t.toml", []byte(text)}}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCost(t *testing.T) {
	const one = "[limits]\ntries=3\npackets_per_second=100\nconnections=40\nhost_packets_per_second=10\n" +
		"[[watch]]\nname='a'\ntargets=['10.0.0.0/30','127.0.0.1','fd00::1']\nexclude=['10.0.0.0']\n" +
		"tcp_ports='1-10'\nudp_ports='53,161'\ndiscover_every='100s'\nverify_every='50s'\n"
	two := func(_ *Watch, port uint16) int { return int(port) / 53 } // 1 and 3
	for _, tt := range []struct {
		name string
		k    Costing
		want Cost
	}{
		// 4 addresses on the wire, 12 ports, 3 tries; 27/17 visits for each needed.
		{"connect", Costing{}, Cost{Addrs: 5, IPv6: 1, Loopback: 1, Tries: 144, UDP: 24, HostTries: 36,
			Sweep: 5 * time.Second, HostSweep: 4 * time.Second, TriesPerSecond: 1.44, VisitsPerSecond: 0.8 * 27 / 17,
			Packets: 0.0144 + 0.032*27/17, Discovery: 0.048, Conversations: 0.16 * 27 / 17}},
		{"syn", Costing{SYN: true}, Cost{Addrs: 5, IPv6: 1, Loopback: 1, Tries: 144, UDP: 24, HostTries: 36,
			Sweep: 4 * time.Second, HostSweep: 4 * time.Second, TriesPerSecond: 1.44, VisitsPerSecond: 0.8 * 27 / 17,
			Packets: 0.0144 + 0.032*27/17, Conversations: 0.16 * 27 / 17}},
		{"datagrams", Costing{SYN: true, Datagrams: two}, Cost{Addrs: 5, IPv6: 1, Loopback: 1, Tries: 168, UDP: 48,
			HostTries: 42, Sweep: 5 * time.Second, HostSweep: 5 * time.Second, TriesPerSecond: 1.68, VisitsPerSecond: 0.8 * 27 / 17,
			Packets: 0.0168 + 0.032*27/17, Conversations: 0.16 * 27 / 17}},
	} {
		c := draft(t, one)
		got := c.Cost(&c.Watches[0], tt.k)
		if g, w := fmt.Sprintf("%.6v", got), fmt.Sprintf("%.6v", tt.want); g != w {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, g, w)
		}
		if g, w := fmt.Sprintf("%.6v", c.Total(tt.k)), fmt.Sprintf("%.6v", got); g != w {
			t.Errorf("%s: the total of one watch is\n     %s, not\n     %s", tt.name, g, w)
		}
	}
}

func TestAges(t *testing.T) {
	const one = "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\ntcp_ports='1-100'\nudp_ports=''\n"
	const other = "[[watch]]\nname='b'\ntargets=['10.0.1.0/24']\ntcp_ports='1-1000'\nudp_ports=''\n"
	const loop = "[[watch]]\nname='a'\ntargets=['127.0.0.1']\n"
	wait := 12 * time.Second
	for _, tt := range []struct {
		name, text      string
		found, verified time.Duration
	}{
		// 51,200 packets take 52 s, and one more as 1.1 % of the rate go to visits.
		{"alone", one, time.Hour + 53*time.Second, 15*time.Minute + wait},
		{"with another", one + other, time.Hour + 107*time.Second, 15*time.Minute + wait},
		{"loopback", loop, time.Hour, 15*time.Minute + wait},
		{"back to back", one + "discover_every='10s'\n", 2 * 53 * time.Second, 15*time.Minute + wait},
	} {
		c := draft(t, tt.text)
		found, verified := c.Ages(&c.Watches[0], Costing{SYN: true})
		if found != tt.found || verified != tt.verified {
			t.Errorf("%s: %v, %v; want %v, %v", tt.name, found, verified, tt.found, tt.verified)
		}
	}
}

// Whatever is asked for, what a remedy says is enough is enough, once it
// stands in the file; and where times that a file may have are enough, they
// are proposed.
func TestRemediesWork(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	infeasible, offered := 0, 0
	for range 300 {
		n := 1 + rng.IntN(3)
		watches := make([]string, n)
		for i := range watches {
			watches[i] = fmt.Sprintf("[[watch]]\nname='w%d'\ntargets=['10.%d.0.0/%d']\ntcp_ports='1-%d'\nudp_ports=''\n"+
				"discover_every='%ds'\nverify_every='%ds'\n", i, i, 16+rng.IntN(17), 1+rng.IntN(2000),
				1+rng.IntN(1<<rng.IntN(16)), 1+rng.IntN(1<<rng.IntN(13)))
		}
		text := strings.Join(watches, "")
		c := draft(t, text)
		k := Costing{}
		if len(c.Feasible(k)) == 0 {
			if r := c.Remedies(k); r != nil {
				t.Fatalf("remedies without a problem: %v\n%s", r, text)
			}
			continue
		}
		infeasible++
		remedies := c.Remedies(k)
		for _, r := range remedies {
			offered++
			if _, err := parse(apply(watches, r)); err != nil {
				t.Fatalf("%v\nwith %v\n%s", err, r, text)
			}
		}
		if len(remedies) == 0 {
			t.Errorf("no remedy for\n%s", text)
		}
	}
	if infeasible < 50 || offered < infeasible {
		t.Errorf("%d infeasible, %d remedies", infeasible, offered)
	}
}

// apply writes a remedy into a file of watches.
func apply(watches []string, r Remedy) string {
	limits := "[limits]\n"
	var out strings.Builder
	for i, w := range watches {
		for _, s := range r {
			if s.Watch == fmt.Sprintf("w%d", i) {
				w += s.Key + " = " + s.Value + "\n"
			}
		}
		head, rest, _ := strings.Cut(w, "\n")
		out.WriteString(head + "\n" + lastWins(rest))
	}
	for _, s := range r {
		if s.Key == "discovery.method" {
			limits = "[discovery]\nmethod = " + s.Value + "\n"
		} else if s.Watch == "" {
			limits += strings.TrimPrefix(s.Key, "limits.") + " = " + s.Value + "\n"
		}
	}
	return limits + out.String()
}

func TestDraftTakesBrokenPromises(t *testing.T) {
	const text = "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\ntcp_ports='1-65535'\n"
	if _, err := parse(text); err == nil {
		t.Fatal("the promise holds: choose another")
	}
	if c := draft(t, text); len(c.Feasible(Costing{})) == 0 {
		t.Error("no problem is told")
	}
	if _, err := parseAll([]Source{{"t.toml", []byte(text + "x=1\n")}}, nil, false); err == nil {
		t.Error("a draft may have unknown keys")
	}
}
