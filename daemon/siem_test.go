package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sonde/daemon/internal/event"
)

// TestRecipes holds the recipes for receivers to what the program tells: the names
// of metrics and actions in them are those of the program, and what is XML or JSON
// can be read as such.
func TestRecipes(t *testing.T) {
	const dir = "../systemd/siem"
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	grafana := read(filepath.Join(dir, "grafana.json"))
	if !json.Valid([]byte(grafana)) {
		t.Error("grafana.json is no JSON")
	}
	source := read("internal/control/metrics.go")
	names := regexp.MustCompile(`sonde_(\w+)`).FindAllStringSubmatch(grafana, -1)
	if len(names) < 8 {
		t.Fatalf("the dashboard shows %d metrics only", len(names))
	}
	for _, n := range names {
		if !strings.Contains(source, `described("`+n[1]+`"`) {
			t.Errorf("grafana.json: there is no metric %s", n[0])
		}
	}
	rules := read(filepath.Join(dir, "wazuh-rules.xml"))
	actions := regexp.MustCompile(`\^((?:service|watch|sensor|host|certificate)\.[a-z_]+)\$`).FindAllStringSubmatch(rules, -1)
	if len(actions) < 3 {
		t.Fatalf("the rules speak of %d actions only", len(actions))
	}
	for _, a := range actions {
		if !slices.Contains(event.Actions(), event.Action(a[1])) {
			t.Errorf("wazuh-rules.xml: there is no action %s", a[1])
		}
	}
	for _, name := range []string{"wazuh-rules.xml", "wazuh-decoder.xml", "wazuh-ossec.conf"} {
		d := xml.NewDecoder(strings.NewReader(read(filepath.Join(dir, name))))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
}
