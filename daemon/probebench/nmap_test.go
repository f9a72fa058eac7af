//go:build bench

package probebench

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// nmapScan runs the reference scanner's service scan, as its users would, and
// gives its result as XML and its time.
func nmapScan(t testing.TB, ns, name string, targets []string, ports string, options ...string) (path string, took time.Duration) {
	t.Helper()
	path, wait := startNmap(t, ns, name, targets, ports, options...)
	return path, wait()
}

// startNmap lets the reference scanner run beside other measurements: most of
// the time it waits.
func startNmap(t testing.TB, ns, name string, targets []string, ports string, options ...string) (path string, wait func() time.Duration) {
	t.Helper()
	path = filepath.Join(outputs(t), name)
	kinds := []string{"-sS"}
	if strings.Contains(ports, "U:") {
		kinds = append(kinds, "-sU")
	}
	cmd := exec.Command("ip", slices.Concat([]string{"netns", "exec", ns, "nmap", "-n", "-Pn", "-sV", "-T4"},
		kinds, options, []string{"-p", ports, "-oX", path}, targets)...)
	type end struct {
		took time.Duration
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		begin := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("nmap: %w: %s", err, out)
		}
		ended <- end{time.Since(begin), err}
	}()
	return path, func() time.Duration {
		t.Helper()
		e := <-ended
		if e.err != nil {
			t.Fatal(e.err)
		}
		return e.took
	}
}

// withoutScripts makes the options by which the reference's service scan uses
// its database alone: it otherwise adds what its version scripts find out.
func withoutScripts(t testing.TB) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "nmap")
	run(t, "cp", "-r", filepath.Dir(nmapFile), dir)
	if err := os.WriteFile(filepath.Join(dir, "scripts", "script.db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"--datadir", dir}
}

// earlierNmap gives a result that a variable of the environment names, or "".
func earlierNmap(t testing.TB, variable string) (path string, took time.Duration) {
	t.Helper()
	path = os.Getenv(variable)
	if path == "" {
		return "", 0
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var x struct {
		Finished struct {
			Elapsed float64 `xml:"elapsed,attr"`
		} `xml:"runstats>finished"`
	}
	if err := xml.Unmarshal(data, &x); err != nil || x.Finished.Elapsed == 0 {
		t.Fatalf("%s says not how long it took: %v", path, err)
	}
	t.Logf("the reference's result is of an earlier run: %s", path)
	return path, time.Duration(x.Finished.Elapsed * float64(time.Second))
}
