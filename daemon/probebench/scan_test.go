//go:build integration || lab || bench

package probebench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sonde/probes"
)

// A scanned is one run of the program.
type scanned struct {
	path  string // of the JSON lines
	took  time.Duration
	found map[key]*probes.Observation
}

// fastScan are the options of a scan that hurries as the reference does at
// -T4, which keeps to no rate: packets are not counted, but one host still has
// two connections at most.
var fastScan = []string{"--host-connections", "2", "--rate", "100000", "--host-rate", "10000"}

// allowAll lets a scan ask everything, as the lab has no device to harm.
var allowAll = []string{"--credentials", "--include-held", "--industrial"}

// scanIn runs `sonde scan` in a namespace and keeps what it says under a name.
func scanIn(t testing.TB, ns, name string, targets []string, ports string, options ...string) scanned {
	t.Helper()
	args := slices.Concat([]string{"netns", "exec", ns, program(t), "scan", "-o", "json", "-p", ports},
		options, targets)
	cmd := exec.Command("ip", args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("sonde scan: %v: %s", err, stderr.Bytes())
	}
	s := scanned{path: filepath.Join(outputs(t), name), took: time.Since(start), found: map[key]*probes.Observation{}}
	if err := os.WriteFile(s.path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 1<<20) // an event has 16 KiB, an endpoint with its evidence some more
	for lines.Scan() {
		o := new(probes.Observation)
		if err := json.Unmarshal(lines.Bytes(), o); err != nil {
			t.Fatalf("sonde scan says %.200q: %v", lines.Bytes(), err)
		}
		s.found[key{o.Addr, o.Port, o.Transport}] = o
	}
	if err := lines.Err(); err != nil || len(s.found) == 0 {
		t.Fatalf("sonde scan found %d endpoints: %v: %s", len(s.found), err, stderr.Bytes())
	}
	return s
}

// outputs is where results lie for people to look at.
func outputs(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(moduleRoot(t), "bin", "probebench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
