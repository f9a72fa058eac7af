//go:build unix

package control

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"sonde/daemon/internal/sensor"
)

func scrape(t *testing.T, b *bench) string {
	t.Helper()
	resp, err := http.Get("http://" + b.local + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", resp.StatusCode, err, text)
	}
	return string(text)
}

// TestMetrics are read by the parser of those who gather them, and by the linter
// of those who made the format.
func TestMetrics(t *testing.T) {
	b := newBench(t)
	text := scrape(t, b)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("linted: %v, %v", problems, err)
	}
	value := func(name string, labels ...string) float64 {
		for _, m := range families[name].GetMetric() {
			got := ""
			for _, l := range m.GetLabel() {
				got += l.GetName() + "=" + l.GetValue() + " "
			}
			if strings.TrimSpace(got) == strings.Join(labels, " ") {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		t.Errorf("no %s with %v", name, labels)
		return -1
	}
	for _, c := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "sonde_healthy", nil},
		{3, "sonde_watch_services", []string{"state=known", "watch=lan"}},
		{4, "sonde_watch_services", []string{"state=overdue", "watch=slow"}},
		{1, "sonde_watch_promise_broken", []string{"promise=verify_every", "watch=slow"}},
		{90, "sonde_watch_sweep_age_seconds", []string{"watch=lan"}},
		{7, "sonde_visits_total", []string{"outcome=answered"}},
		{3, "sonde_output_backlog_events", []string{"output=json"}},
		{10, "sonde_discovery_packets_total", []string{"kind=sent"}},
		{4, "sonde_sightings_total", []string{"kind=missed"}},
		{1, "sonde_build_info", []string{"database=abc", "discovery=syn", "version=1"}},
		{1000, "sonde_start_time_seconds", nil},
	} {
		if got := value(c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if n := len(families["sonde_watch_sweep_age_seconds"].GetMetric()); n != 1 {
		t.Errorf("%d ages of sweeps, want none of a watch that was never swept", n)
	}
}

// TestMetricsWithoutASensor: what cannot be known has no value, and the scrape
// still works.
func TestMetricsWithoutASensor(t *testing.T) {
	b := newBench(t)
	b.sensor.set(func(f *fake) { f.err = sensor.ErrNotRunning })
	text := scrape(t, b)
	if !strings.Contains(text, "\nsonde_healthy 0\n") || strings.Contains(text, "sonde_watch_") {
		t.Error(text)
	}
	b.Use(nil)
	if text = scrape(t, b); !regexp.MustCompile(`(?m)^sonde_problems\{of="sensor"\} 1$`).MatchString(text) {
		t.Error(text)
	}
}
