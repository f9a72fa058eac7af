package event_test

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"testing"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// TestActionsAreAllDeclared reads the source, so that no action is declared
// and left out of the list that schemas and filters are made of.
func TestActionsAreAllDeclared(t *testing.T) {
	src, err := os.ReadFile("action.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []event.Action
	for _, m := range regexp.MustCompile(`Action = "([a-z_.]+)"`).FindAllStringSubmatch(string(src), -1) {
		declared = append(declared, event.Action(m[1]))
	}
	if listed := event.Actions(); !slices.Equal(listed, declared) {
		t.Errorf("listed %q\ndeclared %q", listed, declared)
	}
}

func TestSeverities(t *testing.T) {
	want := map[event.Severity][]event.Action{
		event.Notice: {event.ServiceUnverified, event.ServiceReturned, event.HostMoved, event.HostGone},
		event.Warning: {event.ServiceNew, event.ServiceChanged, event.ServiceGone, event.ServiceUnstable,
			event.CertificateChanged, event.CertificateExpiring, event.WatchMassChange},
		event.Error: {event.SensorDegraded, event.WatchOverdue, event.WatchUnreachable,
			event.HostDistress, event.HostAnswersEverything, event.CertificateExpired},
	}
	for _, a := range event.Actions() {
		expect := event.Info
		for s, list := range want {
			if slices.Contains(list, a) {
				expect = s
			}
		}
		if got := event.DefaultSeverity(a); got != expect {
			t.Errorf("%s is %s, want %s", a, got, expect)
		}
	}
	for kind, want := range map[event.ChangeKind]event.Severity{
		event.KindService: event.Warning, event.KindProduct: event.Warning,
		event.KindVersion: event.Notice, event.KindAttribute: event.Notice,
	} {
		if got := event.SeverityOf(event.ServiceChanged, kind); got != want {
			t.Errorf("a change of %s is %s, want %s", kind, got, want)
		}
	}
	if got := event.SeverityOf(event.ServiceReturned, event.KindService); got != event.Notice {
		t.Errorf("what returned is %s", got)
	}
}

func TestTarget(t *testing.T) {
	addr := netip.MustParseAddr("2001:db8::1")
	for want, e := range map[string]event.Event{
		"":                     {},
		"2001:db8::1":          {Endpoint: &probes.Observation{Addr: addr}},
		"[2001:db8::1]:22/tcp": {Endpoint: &probes.Observation{Addr: addr, Port: 22, Transport: probes.TCP}},
	} {
		if got := e.Target(); got != want {
			t.Errorf("target %q, want %q", got, want)
		}
	}
}

func TestCorrelation(t *testing.T) {
	k := event.Key{Zone: "z", Addr: netip.MustParseAddr("192.0.2.1"), Transport: probes.TCP, Port: 22}
	if k.CorrelationID() == k.Host().CorrelationID() {
		t.Error("a host and its endpoint correlate as one")
	}
	other := k
	other.Zone = "y"
	if k.Host().CorrelationID() == other.Host().CorrelationID() {
		t.Error("hosts of two zones correlate as one")
	}
}
