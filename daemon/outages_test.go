package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/probes"
	"sonde/probes/session"
)

func TestOutagesAreToldOnce(t *testing.T) {
	o := newOutages(nil)
	o.set("early", "nobody listens yet")
	var told []string
	o.tellTo(func(e event.Event) { told = append(told, string(e.Action)+": "+e.Message) })
	for range 2 {
		o.set("eth0", "interface has no carrier")
		o.set("eth1", "")
	}
	before := o.of(map[string]bool{"eth0": true, "eth1": true}, false)
	for range 2 {
		o.set("eth0", "")
		o.end("early", "is not needed any more")
	}
	want := []string{"sensor.degraded: discovery: eth0 cannot be used: interface has no carrier",
		"sensor.recovered: discovery: eth0 can be used again",
		"sensor.recovered: discovery: early is not needed any more"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if names := o.names(); len(names) != 0 || !before.lost {
		t.Errorf("still lost: %q; lost before: %t", names, before.lost)
	}
}

func TestMarks(t *testing.T) {
	o := newOutages(nil)
	both := map[string]bool{"eth0": true, "eth1": true}
	quiet := o.of(both, false)
	o.set("wlan0", "interface is gone")
	if o.of(both, false).since(quiet) {
		t.Error("the loss of another interface counts")
	}
	o.set("eth1", "interface has no carrier")
	if !o.of(both, false).since(quiet) {
		t.Error("a loss does not count")
	}
	o.set("eth1", "")
	if !o.of(both, false).since(quiet) {
		t.Error("a loss that is over does not count")
	}
	after := o.of(both, false)
	for name, m := range map[string]mark{
		"another way":       o.of(map[string]bool{"eth0": true}, false),
		"not working":       o.of(map[string]bool{"eth0": true, "eth1": false}, false),
		"no way":            o.of(both, true),
		"another interface": o.of(map[string]bool{"eth0": true, "eth2": true}, false),
	} {
		if !m.since(after) {
			t.Errorf("%s does not count", name)
		}
	}
	if o.of(both, false).since(after) || newOutages(nil).mark(netip.MustParseAddr("192.0.2.1"), "").since(mark{}) {
		t.Error("a loss from nothing")
	}
}

// A hook is a visitor that says what it is told to.
type hook func(done func(probes.Observation))

func (h hook) Begin(_ probes.Endpoint, _ session.Remembered, done func(probes.Observation)) func(error) {
	h(done)
	return func(error) {}
}

// What is silent is silent where routes cannot be read, as before.
func TestWiredVisitorLeavesOthersAlone(t *testing.T) {
	want := probes.Observation{Outcome: probes.OutcomeSilent, State: probes.Filtered, At: time.Unix(1, 0)}
	var got probes.Observation
	v := wiredVisitor{hook(func(done func(probes.Observation)) { done(want) }), newOutages(nil), ""}
	v.Begin(probes.Endpoint{Addr: netip.MustParseAddr("192.0.2.1")}, session.Remembered{}, func(o probes.Observation) { got = o })
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
