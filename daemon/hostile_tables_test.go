package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/report"
	"sonde/match"
	"sonde/probes"
)

// attackers are what scanned hosts may say to whoever reads a terminal or a
// file made of it.
var attackers = []string{
	"a\x00\x07\x08\x0b\x0c\x1f\x7fz", "a\u0080\u0085\u009b31mz", "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J",
	"one\r\ntwo\nthree\rfour", "col\tumn\vcell\fpage", "\xff\xfe\xc0\xaf\xed\xa0\x80", "]\"'`\\|= @cee: {}",
	"\u202eexe.txt\u202c\u2066x\u2069\u200e\u200f\u061c", "a\u2028b\u2029c\ufeffd\u200be",
	strings.Repeat("A\x1b", 32<<10),
}

// hostileObservation says s wherever a scanned host has a say.
func hostileObservation(i int, s string) probes.Observation {
	cert := &probes.Certificate{Subject: s, Issuer: s, SANs: []string{s}, Key: s, SHA256: s, Error: s}
	return probes.Observation{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Port: 443, Transport: probes.TCP,
		State: probes.Open, Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Reason: s, Names: []string{s},
		Tunnel: probes.TLS, Probe: s, Rule: s, Fingerprint: s,
		Identity: match.Identity{Service: s, Product: s, Version: s, Info: s, Hostname: s, OS: s, Device: s,
			CPE: []string{s}},
		TLS:      []probes.TLSFacts{{Name: s, Version: s, Cipher: s, ALPN: s, Alert: s, Offered: s, Certificate: cert}},
		Evidence: &probes.Evidence{Answer: probes.Bytes(s)}}
}

// printable demands that each line is fit for a terminal, and counts them.
func printable(t *testing.T, what, text string) (lines int) {
	t.Helper()
	for line := range strings.Lines(text) {
		lines++
		line = strings.TrimSuffix(line, "\n")
		if !utf8.ValidString(line) {
			t.Errorf("%s: not UTF-8: %.200q", what, line)
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }); i >= 0 {
			t.Errorf("%s: %q in %.200q", what, line[i:min(i+8, len(line))], line)
		}
	}
	return lines
}

func TestTerminalsGetNoControlByte(t *testing.T) {
	dir := t.TempDir()
	store, err := inventory.Open(t.Context(), inventory.Config{Dir: dir, Sensor: "probe"})
	if err != nil {
		t.Fatal(err)
	}
	var hosts []report.Host
	for i, s := range attackers {
		o := hostileObservation(i, s)
		key := event.Key{Zone: "default", Addr: o.Addr, Transport: o.Transport, Port: o.Port}
		_, err := store.Apply(t.Context(), []inventory.Visit{{Key: key, Watch: "w", Method: "connect",
			Observation: o, At: time.Now(), Found: true}})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Record(t.Context(), event.Event{Action: event.SensorDegraded, Message: s}); err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, report.Host{Addr: o.Addr, Names: []string{s}, Ports: []probes.Observation{o}})
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	n := len(attackers)
	for args, want := range map[string]int{
		"inventory": n + 2, "inventory -o json": n, "inventory -o csv": n + 1, "events": 2 * n, "events -o json": 2 * n,
		"events -o ecs": 2 * n, "events -o cef": 2 * n,
	} {
		var out, errOut bytes.Buffer
		code := run(append(strings.Fields(args), "--state-dir", dir), strings.NewReader(""), &out, &errOut)
		if code != 0 || errOut.Len() > 0 {
			t.Errorf("%s: exit code %d, %s", args, code, errOut.String())
		}
		if got := printable(t, args, out.String()); got != want {
			t.Errorf("%s: %d lines, want %d, one for each", args, got, want)
		}
	}
	var out bytes.Buffer
	if err := report.Text(&out, hosts, "https://example.org"); err != nil {
		t.Fatal(err)
	}
	printable(t, "scan", out.String())
}
