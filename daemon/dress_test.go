package main

import (
	"net/netip"
	"slices"
	"testing"

	"sonde/config"
	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// TestConfigKnowsEveryAction: the configuration may not import the events, so
// its list is held against theirs.
func TestConfigKnowsEveryAction(t *testing.T) {
	var want []string
	for _, a := range event.Actions() {
		want = append(want, string(a))
	}
	if !slices.Equal(config.Actions, want) {
		t.Errorf("config has %q\nevent has %q", config.Actions, want)
	}
}

func TestDresser(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.10")
	cfg := &config.Config{
		Severity: config.Severities{"service.returned": "error"},
		Expected: config.AcceptedState{{Address: config.Range{First: addr, Last: addr},
			Port: config.PortKey{Transport: "tcp", Port: 443}, Service: "http", Owner: "web"}},
	}
	endpoint := func(port uint16, service string, s probes.Strength) *probes.Observation {
		return &probes.Observation{Addr: addr, Port: port, Transport: probes.TCP, Strength: s,
			Identity: match.Identity{Service: service}}
	}
	for name, x := range map[string]struct {
		ev       event.Event
		severity event.Severity
		expected string // yes, no or ""
	}{
		"expected":      {event.Event{Action: event.ServiceNew, Endpoint: endpoint(443, "http", probes.Hard)}, "", "yes"},
		"another":       {event.Event{Action: event.ServiceNew, Endpoint: endpoint(443, "ssh", probes.Hard)}, "", "no"},
		"only a guess":  {event.Event{Action: event.ServiceNew, Endpoint: endpoint(443, "http", probes.Table)}, "", "no"},
		"severity":      {event.Event{Action: event.ServiceReturned, Endpoint: endpoint(22, "ssh", probes.Hard)}, event.Error, "no"},
		"gone":          {event.Event{Action: event.ServiceGone, Endpoint: endpoint(443, "http", probes.Hard)}, "", "no"},
		"a host":        {event.Event{Action: event.HostNew, Endpoint: &probes.Observation{Addr: addr}}, "", "yes"},
		"a watch":       {event.Event{Action: event.WatchUnreachable}, "", ""},
		"another place": {event.Event{Action: event.HostNew, Endpoint: &probes.Observation{Addr: addr.Next()}}, "", ""},
	} {
		dresser(cfg)(&x.ev)
		got := ""
		if x.ev.Expected != nil {
			got = map[bool]string{true: "yes", false: "no"}[*x.ev.Expected]
		}
		if x.ev.Severity != x.severity || got != x.expected || (x.ev.Owner == "web") != (got != "") {
			t.Errorf("%s: severity %q, expected %q, owner %q", name, x.ev.Severity, got, x.ev.Owner)
		}
	}
}
