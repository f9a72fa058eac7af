package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sonde/daemon/internal/event"
)

// A wazuhRule is a rule of Wazuh as far as ours use its language.
type wazuhRule struct {
	ID      int    `xml:"id,attr"`
	Level   int    `xml:"level,attr"`
	Parents string `xml:"if_sid"`
	Decoder string `xml:"decoded_as"`
	Fields  []struct {
		Name    string `xml:"name,attr"`
		Pattern string `xml:",chardata"`
	} `xml:"field"`
}

// matches says whether the fields of an event are as the rule wants. In Wazuh's
// patterns a dot is a dot.
func (r *wazuhRule) matches(fields map[string]any) bool {
	for _, f := range r.Fields {
		if !regexp.MustCompile(strings.ReplaceAll(f.Pattern, ".", `\.`)).MatchString(fmt.Sprint(fields[f.Name])) {
			return false
		}
	}
	return true
}

// wazuh gives the rule that an event ends at: of a rule's children the first that
// matches goes on, those of level 0 before the others, and of these the highest
// first.
func wazuh(rules []wazuhRule, fields map[string]any) int {
	at := 0
	for i := range rules {
		if rules[i].Decoder == "sonde" {
			at = rules[i].ID
		}
	}
	for {
		var children []wazuhRule
		for _, r := range rules {
			if slices.Contains(strings.Split(strings.ReplaceAll(r.Parents, " ", ""), ","), fmt.Sprint(at)) && r.matches(fields) {
				children = append(children, r)
			}
		}
		if len(children) == 0 {
			return at
		}
		slices.SortStableFunc(children, func(a, b wazuhRule) int {
			if (a.Level == 0) != (b.Level == 0) {
				return a.Level - b.Level
			}
			return b.Level - a.Level
		})
		at = children[0].ID
	}
}

// TestWazuhRules runs the rules over events as they are written: each action with
// its own severity ends where the rules mean it to.
func TestWazuhRules(t *testing.T) {
	read := func(name string) []byte {
		text, err := os.ReadFile("../systemd/siem/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var group struct {
		Rules []wazuhRule `xml:"rule"`
	}
	if err := xml.Unmarshal(read("wazuh-rules.xml"), &group); err != nil {
		t.Fatal(err)
	}
	var decoder struct {
		Prematch string `xml:"prematch"`
		Name     string `xml:"name,attr"`
	}
	if err := xml.Unmarshal(read("wazuh-decoder.xml"), &decoder); err != nil || decoder.Name != "sonde" {
		t.Fatal(err, decoder.Name)
	}
	bySeverity := map[event.Severity]int{event.Info: 110801, event.Notice: 110801, event.Warning: 110802, event.Error: 110803}
	special := map[event.Action]int{event.ServiceNew: 110810, event.SensorDegraded: 110820,
		event.WatchOverdue: 110820, event.WatchUnreachable: 110820}
	for _, a := range event.Actions() {
		e := event.Event{Schema: event.Schema, Action: a, Severity: event.SeverityOf(a, "")}
		want := bySeverity[e.Severity]
		if id, ok := special[a]; ok {
			want = id
		}
		for _, expected := range []bool{false, true} {
			if expected {
				e.Expected = &expected
				if want == 110802 || want == 110810 {
					want = 110811 // as the accepted state says
				}
			}
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if begin, ok := strings.CutPrefix(decoder.Prematch, "^"); !ok || !strings.HasPrefix(string(line), begin) {
				t.Errorf("%.40s... is not decoded by %s", line, decoder.Prematch)
			}
			var fields map[string]any
			if err := json.Unmarshal(line, &fields); err != nil {
				t.Fatal(err)
			}
			if got := wazuh(group.Rules, fields); got != want {
				t.Errorf("%s (%s, expected %t) ends at rule %d, want %d", a, e.Severity, expected, got, want)
			}
		}
	}
}
