package event

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sonde/match"
	"sonde/probes"
)

func schemaDocument(t *testing.T) map[string]any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

// validator compiles the schema, with formats asserted.
func validator(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.json", schemaDocument(t)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemaHasEveryField compares the schema with the Go types, all the way
// down: neither has a name that the other lacks.
func TestSchemaHasEveryField(t *testing.T) {
	doc := schemaDocument(t)
	defs := doc["$defs"].(map[string]any)
	for name, v := range map[string]any{"": Event{}, "endpoint": probes.Observation{},
		"handshake": probes.TLSFacts{}, "certificate": probes.Certificate{}, "program": probes.RPCFacts{},
		"host_key": probes.SSHHostKey{},
		"evidence": probes.Evidence{}, "cost": probes.Cost{}, "service": Service{}} {
		object := doc
		if name != "" {
			object = defs[name].(map[string]any)
		}
		props := object["properties"].(map[string]any)
		if diff := cmp.Diff(jsonNames(reflect.TypeOf(v)), slices.Sorted(maps.Keys(props))); diff != "" {
			t.Errorf("%q: Go type and schema differ (-Go +schema):\n%s", name, diff)
		}
		for key, p := range props {
			_, described := p.(map[string]any)["description"]
			_, refers := p.(map[string]any)["$ref"]
			if !described && !refers {
				t.Errorf("%s.%s has no description", name, key)
			}
		}
	}
	if len(defs) != 8 {
		t.Errorf("%d definitions, of which 8 are compared", len(defs))
	}
}

func jsonNames(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			names = append(names, jsonNames(f.Type)...)
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestSchemaKnowsEveryAction(t *testing.T) {
	props := schemaDocument(t)["properties"].(map[string]any)
	var want []string
	for _, a := range Actions() {
		want = append(want, string(a))
	}
	var got []string
	for _, a := range props["action"].(map[string]any)["enum"].([]any) {
		got = append(got, a.(string))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("actions differ (-Go +schema):\n%s", diff)
	}
}

// full is an event with every field set.
func full() Event {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	yes, days := true, 7
	o := &probes.Observation{Addr: netip.MustParseAddr("192.0.2.7"), Port: 443, Transport: probes.TCP,
		State: probes.Open, Reason: "syn-ack", Names: []string{"a.example"}, Tunnel: probes.TLS,
		Identity: match.Identity{Service: "http", Product: "nginx", Version: "1", Info: "i", Hostname: "h",
			OS: "Linux", Device: "router", CPE: []string{"cpe:/a:f5:nginx:1"}},
		Strength: probes.Hard, Outcome: probes.OutcomeAnswered, Probe: "GetRequest", Rule: "web.probes:1",
		TLS: []probes.TLSFacts{{Name: "a.example", Version: "TLS 1.3", Cipher: "c", ALPN: "h2", Alert: "a",
			Offered: "o", ClientCert: "requested", Remembered: true,
			Certificate: &probes.Certificate{Subject: "CN=a", Issuer: "CN=b", SANs: []string{"a"}, SANsCount: 1,
				NotBefore: at, NotAfter: at, Key: "RSA 2048", SHA256: strings.Repeat("ab", 32), Error: "e"}}},
		SSHHostKey:  &probes.SSHHostKey{Type: "ssh-ed25519", SHA256: "x"},
		RPC:         []probes.RPCFacts{{Program: 100000, Name: "portmapper", Low: 2, High: 4}},
		Fingerprint: "f", Evidence: &probes.Evidence{Probe: "p", Rule: "r", Database: "d",
			Answer: probes.Bytes("\x00\xff\n"), Truncated: true},
		Cost: probes.Cost{Connections: 1, Probes: 1, BytesOut: 1, BytesIn: 1, Millis: 1,
			Extra: &probes.Cost{Connections: 1}}}
	return Event{Schema: Schema, ID: ID("u", 1, 1), Epoch: 1, Seq: 1, CorrelationID: Key{}.CorrelationID(),
		Timestamp: at, ObservedAt: at, Clock: Synced, Sensor: Sensor{"n", "u", "v"}, Action: ServiceChanged,
		Severity: Warning, Cause: CauseTarget, Message: "m", Watch: "w", Zone: "z", VLAN: 7,
		MAC: "02:00:5e:10:00:01", Expected: &yes, Owner: "o", Silenced: true, Reason: "closed",
		ChangeKind: KindProduct, Changed: []string{"product"}, Endpoint: o, Previous: o, Evidence: o.Evidence,
		AbsentAt: at, FirstSeen: at, LastSeen: at, Confirmations: 3, DaysLeft: &days,
		Services: []Service{{probes.TCP, 22, "ssh", "OpenSSH"}}, ServicesCount: 1, Hosts: []string{"192.0.2.7"},
		Counts: map[string]int{"known": 3}, PreviousEnd: "clean", GapSeconds: 3}
}

func validate(t *testing.T, s *jsonschema.Schema, e any) error {
	t.Helper()
	line, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestSchemaTakesEveryAction(t *testing.T) {
	s := validator(t)
	for _, a := range Actions() {
		e := full()
		e.Action, e.Severity = a, SeverityOf(a, e.ChangeKind)
		if err := validate(t, s, e); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := validator(t)
	for name, spoil := range map[string]func(*Event){
		"unknown action":             func(e *Event) { e.Action = "service.exploded" },
		"unknown severity":           func(e *Event) { e.Severity = "loud" },
		"another schema":             func(e *Event) { e.Schema = "sonde/2" },
		"no number":                  func(e *Event) { e.Seq = 0 },
		"id that is none":            func(e *Event) { e.ID = "x" },
		"service without endpoint":   func(e *Event) { e.Endpoint = nil },
		"service without port":       func(e *Event) { o := *e.Endpoint; o.Port = 0; e.Endpoint = &o },
		"change without previous":    func(e *Event) { e.Previous = nil },
		"gone without reason":        func(e *Event) { e.Action, e.Reason = ServiceGone, "" },
		"watch without its name":     func(e *Event) { e.Action, e.Watch = WatchOverdue, "" },
		"start without previous end": func(e *Event) { e.Action, e.PreviousEnd = SensorStarted, "" },
		"vlan out of range":          func(e *Event) { e.VLAN = 4095 },
	} {
		e := full()
		spoil(&e)
		if err := validate(t, s, e); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if err := validate(t, s, map[string]any{"schema": Schema, "@timestamp": "yesterday"}); err == nil {
		t.Error("an object that is no event passes")
	}
}
