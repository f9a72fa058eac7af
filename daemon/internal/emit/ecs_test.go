package emit

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// An ecsField is one line of testdata/ecs-fields.txt.
type ecsField struct {
	kind string
	list bool
}

func ecsFields(t *testing.T) map[string]ecsField {
	t.Helper()
	text, err := os.ReadFile("testdata/ecs-fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]ecsField{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "#" {
			fields[f[0]] = ecsField{f[1], len(f) == 3}
		}
	}
	return fields
}

// leavesOf gives the values of a document by their dotted names, without those
// below "sonde", which are ours.
func leavesOf(doc map[string]any, prefix string, into map[string]any) {
	for name, v := range doc {
		switch x := v.(type) {
		case map[string]any:
			if prefix+name != "sonde" {
				leavesOf(x, prefix+name+".", into)
			}
		default:
			into[prefix+name] = v
		}
	}
}

// fits says whether a value is of a field's type, as Elasticsearch would take
// it.
func (f ecsField) fits(v any) error {
	list, isList := v.([]any)
	if isList != f.list {
		return fmt.Errorf("is a list: %v, must be: %v", isList, f.list)
	}
	if !isList {
		list = []any{v}
	}
	for _, v := range list {
		var ok bool
		switch f.kind {
		case "keyword", "match_only_text":
			_, ok = v.(string)
		case "long":
			n, is := v.(float64)
			ok = is && n == float64(int64(n))
		case "boolean":
			_, ok = v.(bool)
		case "ip":
			s, _ := v.(string)
			a, err := netip.ParseAddr(s)
			ok = err == nil && a.Zone() == ""
		case "date":
			s, _ := v.(string)
			_, err := time.Parse(time.RFC3339Nano, s)
			ok = err == nil
		}
		if !ok {
			return fmt.Errorf("%v is no %s", v, f.kind)
		}
	}
	return nil
}

func decodeECS(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	return doc
}

func TestECSFieldsAndTypes(t *testing.T) {
	fields := ecsFields(t)
	used := map[string]bool{}
	check := func(r Record, most int) {
		t.Helper()
		got := map[string]any{}
		leavesOf(decodeECS(t, appendECS(nil, &r, most)), "", got)
		for name, v := range got {
			f, known := fields[name]
			if !known {
				t.Errorf("%s: %s is no field of the schema", r.Event.Action, name)
				continue
			}
			used[name] = true
			if err := f.fits(v); err != nil {
				t.Errorf("%s: %s: %v", r.Event.Action, name, err)
			}
		}
	}
	for _, a := range event.Actions() {
		check(sample(1, a), maxLine)
		check(record(1, a), maxLine)
	}
	check(sample(1, event.ServiceNew), maxDatagram)
	r := sample(1, event.ServiceNew)
	r.Event.Endpoint.Addr = netip.MustParseAddr("fe80::1%eth0")
	r.Event.Endpoint.TLS[0].Certificate.Key = "ECDSA P-256"
	check(rerecord(r.Event), maxLine)
	for name := range fields {
		if !used[name] {
			t.Errorf("%s is listed, but no document has it", name)
		}
	}
}

// TestECSWords: only words that the schema allows, in pairs that it expects.
func TestECSWords(t *testing.T) {
	expected := map[string][]string{
		"process":       {"access", "change", "end", "info", "start"},
		"configuration": {"access", "change", "creation", "deletion", "info"},
		"host":          {"access", "change", "end", "info", "start"},
	}
	for _, a := range event.Actions() {
		category, kind := ecsClass(a)
		if a == event.WatchBaselined && kind != "info" {
			t.Errorf("%s: %s", a, kind)
		}
		if !slices.Contains(expected[category], kind) {
			t.Errorf("%s: type %q is not expected of category %q", a, kind, category)
		}
	}
}

// TestECSSaysNothingTwice: what the schema has a name for is not below sonde,
// and the rest is.
func TestECSSaysNothingTwice(t *testing.T) {
	r := sample(9, event.ServiceChanged)
	doc := decodeECS(t, appendECS(nil, &r, maxLine))
	ours := doc["sonde"].(map[string]any)
	var whole map[string]any
	if err := json.Unmarshal(r.JSON, &whole); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"@timestamp", "id", "sensor", "severity", "action", "message", "reason", "mac", "vlan"} {
		if _, twice := ours[name]; twice {
			t.Errorf("sonde.%s is there, and in the schema's own field", name)
		}
		delete(whole, name)
	}
	if got, want := slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(whole)); !slices.Equal(got, want) {
		t.Errorf("below sonde\n%q, want\n%q", got, want)
	}
	counts := fmt.Sprint(ours["counts"])
	if counts != "[map[name:known value:3] map[name:known.known value:4]]" {
		t.Errorf("counts %s", counts)
	}
	server := doc["server"].(map[string]any)
	if server["mac"] != "02-00-5E-10-00-01" || server["port"] != 443.0 {
		t.Errorf("server %v", server)
	}
}

func TestECSKeepsItsLimit(t *testing.T) {
	r := sample(9, event.ServiceChanged)
	for _, most := range []int{maxLine, 8000, 4000, maxDatagram, 1500, 700, 200} {
		raw := appendECS(nil, &r, most)
		if most >= 200 && len(raw) > most && most >= 700 {
			t.Errorf("%d bytes, at most %d", len(raw), most)
		}
		if e := decodeECS(t, raw)["event"].(map[string]any); e["id"] != r.Event.ID || e["sequence"] != 9.0 {
			t.Errorf("at most %d: event %v", most, e)
		}
	}
}

func TestECSTLSVersions(t *testing.T) {
	for in, want := range map[string][2]string{"TLS 1.3": {"tls", "1.3"}, "DTLS 1.2": {"dtls", "1.2"},
		"SSLv3": {"ssl", "3"}, "": {"", ""}} {
		got := ecsTLSOf(&probes.TLSFacts{Version: in})
		if got.VersionProtocol != want[0] || got.Version != want[1] || got.Established != (in != "") {
			t.Errorf("%q: %+v", in, got)
		}
	}
}
