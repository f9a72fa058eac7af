package session

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"sonde/match"
	"sonde/probes"
)

// TestScripts runs the cases in testdata, each of which shows one rule; see
// testdata/README.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runScript(t, txtar.Parse(data))
		})
	}
}

// TestEachRuleHasACase compares the index with the cases.
func TestEachRuleHasACase(t *testing.T) {
	index, err := os.ReadFile("testdata/README")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules() {
		cases, err := filepath.Glob("testdata/" + rule + "-*.txtar")
		if err != nil {
			t.Fatal(err)
		}
		excused := strings.Contains(string(index), "\n"+rule+" ")
		if (len(cases) > 0) == excused {
			t.Errorf("%s: %d cases, excused in the index: %v", rule, len(cases), excused)
		}
	}
}

// rules are the numbered ones of SCAN-SEMANTICS, part 1 E to K and part 2.
func rules() (names []string) {
	for _, part := range []struct {
		letter string
		n      int
	}{{"E", 6}, {"F", 6}, {"G", 5}, {"H", 1}, {"I", 1}, {"J", 5}, {"K", 3}} {
		for i := range part.n {
			names = append(names, fmt.Sprintf("%s%d", part.letter, i+1))
		}
	}
	for i := range 18 {
		names = append(names, fmt.Sprintf("row%02d", i+1))
	}
	return names
}

func runScript(t *testing.T, archive *txtar.Archive) {
	t.Helper()
	section := func(name string) string {
		for _, f := range archive.Files {
			if f.Name == name {
				return string(f.Data)
			}
		}
		t.Fatalf("no section %q", name)
		return ""
	}
	sources := []probes.Source{{Name: "case.probes", Data: []byte(section("database"))}}
	for _, f := range archive.Files {
		if f.Name == "own" { // what the program adds to it
			sources = append(sources, probes.Source{Name: f.Name, Data: f.Data, Own: true})
		}
	}
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	visits := fields(t, section("visit"))
	widths := strings.Fields(visits["connections"])
	if len(widths) == 0 {
		widths = []string{"1", "2", "4"}
	}
	for _, width := range widths {
		t.Run("connections="+width, func(t *testing.T) {
			p, err := parsePeer(section("peer"))
			if err != nil {
				t.Fatal(err)
			}
			visit := fields(t, section("visit"))
			visit["connections"] = width
			s := newSim(t, machineFor(t, db, visit), p)
			compare(t, s, s.run(), fields(t, section("want")))
		})
	}
}

// fields reads lines of "name: value".
func fields(t *testing.T, text string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok && name != "" {
			t.Fatalf("no colon in %q", line)
		}
		out[name] = strings.TrimSpace(value)
	}
	delete(out, "")
	return out
}

// sequenceWait is long enough for what a peer is asked one thing after the
// other, so that a budget makes no difference between that and overlap.
const sequenceWait = 20 * time.Second

// machineFor makes the machine that a visit section describes.
func machineFor(t *testing.T, db *probes.Database, visit map[string]string) *Machine {
	t.Helper()
	settings := DefaultSettings()
	settings.MaxWait = sequenceWait
	ep := probes.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 7000, Transport: probes.TCP}
	var known Remembered
	var cfg Config
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, value := range visit {
		switch name {
		case "connections":
			settings.Connections = number(value)
		case "port":
			ep.Port = uint16(number(value))
		case "transport":
			ep.Transport = probes.Transport(value)
		case "names":
			ep.Names = strings.Fields(value)
		case "intensity":
			settings.Intensity = number(value)
		case "probes":
			settings.MaxProbes = number(value)
		case "industrial":
			settings.Allow.Industrial = true
		case "credentials":
			settings.Allow.Credentials = true
		case "further-names":
			settings.Names = true
		case "starttls":
			settings.StartTLS = true
		case "ssh-key":
			settings.SSHKey = true
		case "rpc":
			settings.RPC, settings.Grind = true, value == "grind"
		case "due":
			known.Extras = true
		case "known-service":
			known.Service = value
		case "shut": // offer, version, cipher, certificate, alert
			f := strings.SplitN(value, " ", 5)
			known.Offer, known.Tunnel = number(f[0]), probes.TLS
			known.Shut = &probes.TLSFacts{Version: f[1], Cipher: f[2],
				Certificate: &probes.Certificate{SHA256: f[3]}, Alert: f[4]}
		case "turn":
			known.Turn = number(value)
		case "known-program":
			known.Program = uint32(number(value))
		case "ehlo":
			cfg.Identity.EHLOName = value
		case "agent":
			cfg.Identity.UserAgent = value
		case "wait":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			settings.MaxWait = d
		case "wall":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			settings.WallLimit = d
		case "known":
			known.Probe, value, _ = strings.Cut(value, " ")
			tunnel, soft, _ := strings.Cut(value, " ")
			known.Tunnel, known.Soft = probes.Tunnel(tunnel), soft
		default:
			t.Fatalf("unknown field %q of the visit", name)
		}
	}
	cfg.Database, cfg.Settings = db, settings
	cfg.XID = func() uint32 { return 0x01020304 }
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p.NewMachine(ep, known, match.NewScratch())
}

// compare looks at what a case names, and at nothing else.
func compare(t *testing.T, s *sim, o probes.Observation, want map[string]string) {
	t.Helper()
	answer, text := "", ""
	if o.Evidence != nil {
		answer = o.Evidence.Answer.String()
	}
	for _, a := range o.Answers {
		text += fmt.Sprintf("%s %d ", a.Probe, a.Length)
	}
	facts, cert, remembered := "", "", ""
	if len(o.TLS) > 0 {
		if c := o.TLS[0].Certificate; c != nil {
			cert = c.SHA256
		}
		remembered = strconv.FormatBool(o.TLS[0].Remembered)
		facts = strings.Join(strings.Fields(o.TLS[0].Name+" "+o.TLS[0].Version+" "+o.TLS[0].Alert), " ")
	}
	extra := ""
	if e := o.Cost.Extra; e != nil {
		extra = fmt.Sprintf("%d connections, %d said", e.Connections, e.Probes)
	}
	key := ""
	if k := o.SSHHostKey; k != nil {
		key = k.Type + " " + k.SHA256
	}
	programs := ""
	for _, f := range o.RPC {
		programs += fmt.Sprintf("%d %s %d-%d, ", f.Program, f.Name, f.Low, f.High)
	}
	var asked []string
	for _, f := range o.TLS {
		asked = append(asked, f.Name)
	}
	got := map[string]string{
		"remembered": remembered,
		"tls-names":  strings.Join(asked, " "),
		"key":        key,
		"extra":      extra, "rpc": strings.TrimSuffix(programs, ", "),
		"outcome": string(o.Outcome), "reason": o.Reason, "state": string(o.State),
		"strength": string(o.Strength), "service": o.Service, "product": o.Product,
		"version": o.Version, "info": o.Info, "probe": o.Probe, "tunnel": string(o.Tunnel),
		"cpe": strings.Join(o.CPE, " "), "answer": answer, "answers": strings.TrimSpace(text),
		"tls": facts, "cert": cert, "asked": strings.Join(o.Asked, " "),
		"connections": strconv.Itoa(o.Cost.Connections), "probes": strconv.Itoa(o.Cost.Probes),
		"took": (time.Duration(o.Cost.Millis) * time.Millisecond).String(),
		"turn": strconv.Itoa(o.Turn), "most": strconv.Itoa(s.most), "goodbyes": strconv.Itoa(o.Goodbyes),
	}
	for name, value := range want {
		switch have, known := got[name]; {
		case name == "errors":
			if !strings.Contains(strings.Join(o.Errors, "\n"), value) {
				t.Errorf("errors %q, want %q", o.Errors, value)
			}
		case name == "sent":
			if !slices.ContainsFunc(s.sent, func(b string) bool {
				return strings.Contains(probes.Bytes(b).String(), value)
			}) {
				t.Errorf("sent %q, want %q", s.sent, value)
			}
		case name == "within":
			limit, err := time.ParseDuration(value)
			if took := time.Duration(o.Cost.Millis) * time.Millisecond; err != nil || took > limit {
				t.Errorf("took %v, want at most %s, %v", took, value, err)
			}
		case !known:
			t.Fatalf("unknown field %q wanted", name)
		case have != value:
			t.Errorf("%s is %q, want %q; asked %q, errors %q", name, have, value, o.Asked, o.Errors)
		}
	}
}
