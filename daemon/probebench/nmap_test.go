//go:build bench

package probebench

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// nmapScan runs the reference scanner's service scan, as its users would, on
// addresses and ports of the lab, and gives its result as XML and its time.
func nmapScan(t testing.TB, name string, targets []string, ports string) (path string, took time.Duration) {
	t.Helper()
	path = filepath.Join(outputs(t), name)
	kinds := []string{"-sS"}
	if strings.Contains(ports, "U:") {
		kinds = append(kinds, "-sU")
	}
	args := slices.Concat([]string{"netns", "exec", labNamespace, "nmap", "-n", "-Pn", "-sV", "-T4"},
		kinds, []string{"-p", ports, "-oX", path}, targets)
	start := time.Now()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("nmap: %v: %s", err, out)
	}
	return path, time.Since(start)
}

// earlierNmap gives a result that the environment names, or "".
func earlierNmap(t testing.TB) (path string, took time.Duration) {
	t.Helper()
	path = os.Getenv("SONDE_NMAP_XML")
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
