//go:build integration && linux

package onwire

import (
	"strings"
	"testing"
	"time"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

// only gives the events with one of these actions.
func (d *daemon) only(t *testing.T, actions ...event.Action) (list []event.Event) {
	t.Helper()
	for _, e := range d.events(t) {
		for _, a := range actions {
			if e.Action == a {
				list = append(list, e)
			}
		}
	}
	return list
}

// wrong are the events that nothing in the tests of links may cause.
var wrong = []event.Action{event.ServiceNew, event.ServiceGone, event.ServiceChanged, event.ServiceUnverified,
	event.HostDistress}

// toldOnce checks that a loss was told once, and its end too.
func (d *daemon) toldOnce(t *testing.T, about string) {
	t.Helper()
	d.await(t, "sensor.recovered", func(e *event.Event) bool { return e.Action == event.SensorRecovered })
	for _, a := range []event.Action{event.SensorDegraded, event.SensorRecovered} {
		list := d.only(t, a)
		if len(list) != 1 || !strings.Contains(list[0].Message, about) {
			t.Errorf("%s: %d events, want 1 about %s: %+v", a, len(list), about, list)
		}
	}
	for _, e := range d.only(t, wrong...) {
		t.Errorf("%s: %s", e.Action, e.Message)
	}
}

// slow makes the first look last some ten seconds, so that it can be disturbed.
const slow = "[limits]\nhost_packets_per_second = 100\nhost_new_connections_per_second = 100\n"

// TestLinkLost: an interface that goes and comes during a sweep is told, and the
// sweep ends complete.
func TestLinkLost(t *testing.T) {
	p := ground(t)
	d := start(t, p.Sensor, strings.ReplaceAll(watch, "20-29,80,2222", "1-1000,2222")+slow)
	d.awaitLog(t, "sweep begins", "transport=tcp")
	d.await(t, "a first service", func(e *event.Event) bool { return e.Action == event.ServiceBaseline })
	p.Near.Down(t)
	d.await(t, "sensor.degraded", func(e *event.Event) bool { return e.Action == event.SensorDegraded })
	p.Near.Up(t)
	p.Near.Address(t, capturetest.Sensor6.String()+"/64") // went with the link
	p.Via(t)
	baselined(t, d)
	d.toldOnce(t, "near")
}

// TestCarrierLost pulls the cable at its other end, with a service that is known,
// in the middle of sweeps and of visits: nothing is taken for absent, and nobody
// for harmed.
func TestCarrierLost(t *testing.T) {
	for _, method := range []string{"syn", "connect"} {
		t.Run(method, func(t *testing.T) {
			p := ground(t)
			often := strings.NewReplacer(`"10m"`, `"4s"`, `"5m"`, `"1s"`).Replace(watch)
			d := start(t, p.Sensor, often+"best_effort = true\n[discovery]\nmethod = '"+method+"'\n"+
				"[confirm]\nclosed_after = '2s'\nfiltered_visits = 2\n"+slow)
			baselined(t, d)
			before := strings.Count(d.log.String(), "sweep complete")
			p.Far.Down(t)
			d.await(t, "sensor.degraded", func(e *event.Event) bool { return e.Action == event.SensorDegraded })
			// Visits are due every second, and each waits for 5 s.
			time.Sleep(12 * time.Second)
			if n := strings.Count(d.log.String(), "sweep complete"); n > before+2 { // two may have ended just before
				t.Errorf("%d sweeps were complete without a carrier", n-before)
			}
			p.Far.Up(t)
			p.Far.Address(t, capturetest.Target6.String()+"/64")
			p.Via(t)
			d.await(t, "sensor.recovered", func(e *event.Event) bool { return e.Action == event.SensorRecovered })
			during := strings.Count(d.log.String(), "sweep complete")
			d.until(t, "complete sweeps after the loss", func() bool {
				return strings.Count(d.log.String(), "sweep complete") >= during+2
			})
			d.toldOnce(t, "near")
		})
	}
}

// TestNoCarrierAtFirst: a sensor that starts without a carrier says so, and takes
// nobody for absent.
func TestNoCarrierAtFirst(t *testing.T) {
	for _, method := range []string{"syn", "connect"} {
		t.Run(method, func(t *testing.T) {
			p := ground(t)
			p.Far.Down(t)
			d := start(t, p.Sensor, watch+"[discovery]\nmethod = '"+method+"'\n")
			d.await(t, "sensor.degraded", func(e *event.Event) bool { return e.Action == event.SensorDegraded })
			time.Sleep(3 * time.Second)
			if strings.Contains(d.log.String(), "sweep complete") {
				t.Error("a sweep was complete without a carrier")
			}
			p.Far.Up(t)
			p.Far.Address(t, capturetest.Target6.String()+"/64")
			p.Via(t)
			baselined(t, d)
			d.toldOnce(t, "near")
		})
	}
}

// TestOwnNetwork: the network that the sensor itself is on has addresses that are
// nobody's. They keep no sweep from being complete, and are not asked.
func TestOwnNetwork(t *testing.T) {
	for _, method := range []string{"syn", "connect"} {
		t.Run(method, func(t *testing.T) {
			p := capturetest.NewPair(t)
			p.Near.Address(t, "198.18.7.1/28")
			p.Far.Address(t, "198.18.7.2/28")
			serve(t, p.Target, "198.18.7.2:22", ssh)
			wire := capturetest.RecordReceived(t, p.Far)
			d := start(t, p.Sensor, "[[watch]]\nname = 'lan'\ntargets = ['198.18.7.0/28']\ntcp_ports = '22,23'\nudp_ports = ''\n"+
				"[discovery]\nmethod = '"+method+"'\n")
			d.awaitLog(t, "sweep complete", "transport=tcp")
			d.await(t, "service.baseline", func(e *event.Event) bool {
				return e.Action == event.ServiceBaseline && endpointOf(e).String() == "198.18.7.2:22"
			})
			for _, f := range wire.Frames() {
				if c := f.Class(); c == capturetest.ClassSYN && f.Dst.String() == "198.18.7.15" {
					t.Error("the broadcast address was asked")
				}
			}
			if list := d.only(t, event.SensorDegraded); len(list) > 0 {
				t.Errorf("degraded: %+v", list)
			}
		})
	}
}
