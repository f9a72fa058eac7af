//go:build lab && linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sonde/probes"
)

// TestScanReadsCertificatesBehindSTARTTLS asks the lab's servers that have
// STARTTLS; mail, file transfer, directory, database and chat are among them.
func TestScanReadsCertificatesBehindSTARTTLS(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(cmp.Or(os.Getenv("LAB_STATE"), "/var/tmp/sonde-lab"), "truth.json"))
	if err != nil {
		t.Skipf("no lab of real servers is up: %v", err)
	}
	var truth []struct {
		Box   string
		Addr  netip.Addr
		Port  uint16
		Proto string
		TLS   string
	}
	if err := json.Unmarshal(text, &truth); err != nil {
		t.Fatal(err)
	}
	var addrs, ports []string
	want := map[string]string{}
	for _, e := range truth {
		if e.TLS != "starttls" || e.Proto != "tcp" {
			continue
		}
		addrs, ports = append(addrs, e.Addr.String()), append(ports, fmt.Sprint(e.Port))
		want[fmt.Sprint(e.Addr, " ", e.Port, " tcp")] = e.Box
	}
	if len(want) == 0 {
		t.Skip("no server of the lab has STARTTLS")
	}
	slices.Sort(addrs)
	args := append([]string{"netns", "exec", "lab", buildSonde(t), "scan", "-o", "json", "--names", "lab.example",
		"-p", strings.Join(ports, ",")}, slices.Compact(addrs)...)
	found := scanned(t, exec.Command("ip", args...))
	for at, box := range want {
		o := found[at]
		if len(o.TLS) != 1 || o.TLS[0].Certificate == nil || o.Tunnel != probes.NoTunnel {
			t.Errorf("%s %s: %s, %s, TLS %+v, errors %q", box, at, o.Service, o.Outcome, o.TLS, o.Errors)
			continue
		}
		t.Logf("%s %s: %s %s, %s, extra %+v", box, at, o.Service, o.TLS[0].Version,
			o.TLS[0].Certificate.Subject, *o.Cost.Extra)
	}
}
