//go:build integration && linux

package emit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

// TestJQReadsTheFile: a whole event file, attacks included, in both formats.
func TestJQReadsTheFile(t *testing.T) {
	jq := need(t, "jq", "jq")
	for f, filter := range map[Format]string{
		Sonde: `select(.seq) | [.seq, .id, .action, .severity]`,
		ECS:   `select(.event.sequence) | [.event.sequence, .event.id, .event.action, .log.level]`} {
		path := filepath.Join(t.TempDir(), "events.json")
		s, err := NewJSONFile(JSONFileConfig{Path: path, Format: f, MaxSize: 1 << 30, Keep: 1, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Resume(testEpoch, 0); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for i, a := range event.Actions() {
			r := sample(int64(i+1), a)
			if _, err := s.Deliver(t.Context(), []Record{r}); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&want, "[%d,%q,%q,%q]\n", r.Event.Seq, r.Event.ID, a, r.Event.Severity)
		}
		seq := int64(len(event.Actions()))
		for _, text := range corpus {
			seq++
			r := attack(text[:min(len(text), 512)])
			r.Event.Seq = seq
			if _, err := s.Deliver(t.Context(), []Record{rerecord(r.Event)}); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&want, "[%d,%q,%q,%q]\n", seq, r.Event.ID, r.Event.Action, r.Event.Severity)
		}
		got, err := exec.Command(jq, "-c", filter, path).Output()
		if err != nil || string(got) != want.String() {
			t.Errorf("%s: %v\njq reads\n%s\nwant\n%s", f, err, got, want.String())
		}
	}
}

// TestAnotherParserReadsCEF gives lines to jc, whose parser of CEF is one of
// its many.
func TestAnotherParserReadsCEF(t *testing.T) {
	jc := need(t, "jc", "jc")
	var lines bytes.Buffer
	var sent []Record
	for i, a := range event.Actions() {
		sent = append(sent, sample(int64(i+1), a))
	}
	for _, text := range corpus {
		sent = append(sent, attack(text[:min(len(text), 512)]))
	}
	for i := range sent {
		lines.Write(append(AppendLine(nil, CEF, &sent[i]), '\n'))
	}
	cmd := exec.Command(jc, "--cef")
	cmd.Stdin = &lines
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(raw, &got); err != nil || len(got) != len(sent) {
		t.Fatalf("%d lines sent, %d read: %v", len(sent), len(got), err)
	}
	for i := range sent {
		e := &sent[i].Event
		want := map[string]string{"deviceVendor": "Sonde", "deviceProduct": "Sonde",
			"deviceEventClassId": string(e.Action), "agentSeverity": cefLevel(e.Severity), "externalId": e.ID,
			"seq": fmt.Sprint(e.Seq), "dst": "192.0.2.7", "dpt": "443", "proto": "TCP"}
		if e.Watch == "office" { // a sample, not an attack
			want["watch"], want["zone"], want["product"] = "office", "default", "nginx 1.22.1"
			want["previous"], want["changed"] = "192.0.2.7 http Apache httpd 2.4.57", "product,version"
			want["app"], want["dhost"], want["dmac"] = "http", "web.example.org", "02:00:5e:10:00:01"
		}
		for name, value := range want {
			if fmt.Sprint(got[i][name]) != value {
				t.Errorf("event %d: %s read as %q, want %q in %v", e.Seq, name, got[i][name], value, got[i])
			}
		}
	}
}
