//go:build linux && integration

package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sonde/capture/capturetest"
)

// TestPrometheusScrapes has a real Prometheus, configured as the recipe says,
// scrape a daemon, promtool judge the metrics, and asks every query of the Grafana
// dashboard. It runs in a network of its own, where the recipe's ports are free.
func TestPrometheusScrapes(t *testing.T) {
	sonde := buildSonde(t)
	for _, need := range []string{"prometheus", "promtool", "curl"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("skipped: %s is not installed", need)
		}
	}
	ns := capturetest.NewNamespace(t)
	dir := t.TempDir()
	recipe, err := os.ReadFile("../systemd/siem/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	prom, conf := filepath.Join(dir, "prometheus.yml"), filepath.Join(dir, "sonde.toml")
	// Often, as a test does not wait a minute.
	for path, text := range map[string]string{
		prom: "global: {scrape_interval: 1s}\n" + string(recipe),
		conf: "[sensor]\nstate_dir = \"" + dir + "\"\n[control]\nlisten = \"127.0.0.1:9797\"\n" +
			"[[watch]]\nname = \"lo\"\ntargets = [\"127.0.0.1\"]\ntcp_ports = \"1-200\"\nudp_ports = \"\"\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "check", "config", "../systemd/siem/prometheus.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
	for _, args := range [][]string{{sonde, "run", "-c", conf}, {"prometheus", "--config.file=" + prom,
		"--storage.tsdb.path=" + filepath.Join(dir, "tsdb"), "--web.listen-address=127.0.0.1:9090"}} {
		c := ns.Command(t.Context(), args[0], args[1:]...)
		var said bytes.Buffer
		c.Stdout, c.Stderr = &said, &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = c.Process.Kill()
			_ = c.Wait()
			if t.Failed() {
				t.Logf("%s said\n%.4000s", args[0], said.String())
			}
		})
	}
	get := func(what string) []byte {
		out, _ := ns.Command(t.Context(), "curl", "-sS", "--max-time", "5", what).Output()
		return out
	}
	// ask gives how many series answer a query.
	ask := func(query string) int {
		var answer struct {
			Status string
			Data   struct{ Result []json.RawMessage }
		}
		if err := json.Unmarshal(get("http://127.0.0.1:9090/api/v1/query?query="+url.QueryEscape(query)), &answer); err != nil ||
			answer.Status != "success" {
			return -1
		}
		return len(answer.Data.Result)
	}
	until := time.Now().Add(50 * time.Second)
	for ask(`up{job="sonde"} == 1`) != 1 || ask("sonde_watch_sweep_age_seconds") < 1 || ask("rate(sonde_visits_total[5m])") < 0 {
		if time.Now().After(until) {
			t.Fatal("Prometheus scrapes nothing")
		}
		time.Sleep(200 * time.Millisecond)
	}
	judge := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	judge.Stdin = bytes.NewReader(get("http://127.0.0.1:9797/metrics"))
	if out, err := judge.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	board, err := os.ReadFile("../systemd/siem/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	queries := regexp.MustCompile(`"expr": ("(?:[^"\\]|\\.)*")`).FindAllSubmatch(board, -1)
	if len(queries) < 8 {
		t.Fatalf("the dashboard asks %d queries only", len(queries))
	}
	for _, q := range queries {
		var query string
		if err := json.Unmarshal(q[1], &query); err != nil {
			t.Fatal(err)
		}
		n := ask(strings.ReplaceAll(query, "$instance", ".*"))
		t.Logf("%d series: %s", n, query)
		// A rate needs two values, and packets of its own are not sent to loopback.
		if n < 0 || n == 0 && !strings.Contains(query, "rate(") {
			t.Errorf("%d series answer %s", n, query)
		}
	}
}
